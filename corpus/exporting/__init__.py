"""Files of labelled utterances in the formats of other tools."""
