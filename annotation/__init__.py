"""Tasks out, annotations in, and what people agree on. Works on records alone; the store is never touched from here."""
