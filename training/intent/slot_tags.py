"""Conversion between slots and tags on words: BIO (Ramshaw & Marcus 1995), one tag a word, on its first token.

Where a script has no spaces, each token is a word of its own, since a run of letters may hold several slots.
"""

from __future__ import annotations

from collections.abc import Sequence

from corpus.records.arrivals import SlotSpan
from corpus.slot_text import ends_unspaced

OUTSIDE = 0
"""The tag of a word that belongs to no slot; slot s has the tags 1 + 2 s (begin) and 2 + 2 s (inside)."""

UNTAGGED = -100
"""The value for a token without a tag: it continues a word, or nobody labelled the slots of the text."""

Span = tuple[int, int]


def tag_names(slot_names: Sequence[str]) -> tuple[str, ...]:
    """Return the 1 + 2 S names of the tags, in the order of the slot head's outputs."""
    return ("O", *(f"{part}-{name}" for name in slot_names for part in ("B", "I")))


def word_spans(text: str, word_ids: Sequence[int | None], offsets: Sequence[Span]) -> list[tuple[int, Span]]:
    """Return (position of the first token, (start, end) in the text) of each word of a tokenised text.

    Args:
        text: it may be longer than its tokens.
        word_ids: (T,) number of each token's word, None for special tokens and padding.
        offsets: (T,) start and end of each token in the text, end exclusive.
    """
    words: list[tuple[int, Span]] = []
    last: int | None = None
    for position, (word, (start, end)) in enumerate(zip(word_ids, offsets, strict=True)):
        if word is None or end <= start:
            continue
        if word == last and not (start >= words[-1][1][1] and ends_unspaced(text, start)):
            first, (begin, until) = words[-1]
            words[-1] = (first, (begin, max(until, end)))
        else:
            words.append((position, (start, end)))
            last = word
    return words


def tags_of(
    words: Sequence[tuple[int, Span]], slots: Sequence[SlotSpan], slot_names: Sequence[str], tokens: int
) -> list[int]:
    """Return the (T,) tags of a text: the first token of a word has the word's tag, all others have `UNTAGGED`.

    Args:
        words: as `word_spans` returns them.
        slots: spans on the same text; a word that overlaps a span belongs to it.
        slot_names: the S slot types of the model; slots of other types are tagged `OUTSIDE`.
        tokens: the number of tokens T.
    """
    index = {name: i for i, name in enumerate(slot_names)}
    ordered = sorted(slots, key=lambda slot: slot.start)
    tags = [UNTAGGED] * tokens
    begun: SlotSpan | None = None
    for position, (start, end) in words:
        inside = next((slot for slot in ordered if slot.start < end and start < slot.end), None)
        if inside is None or inside.name not in index:
            tags[position] = OUTSIDE
        else:
            tags[position] = 1 + 2 * index[inside.name] + (inside is begun)
        begun = inside
    return tags


def unmarked(words: Sequence[tuple[int, Span]], slots: Sequence[SlotSpan]) -> int:
    """Return how many slots on a text the tags of its words can't describe.

    A word has one tag, so of two slots on one word the second is lost, and one that ends inside of a word is widened.
    Past the last token there is no tag either.
    """
    names = sorted({slot.name for slot in slots})
    tags = tags_of(words, slots, names, max((position for position, _ in words), default=-1) + 1)
    return len(set(slots) - set(spans_of(words, [tags[position] for position, _ in words], names)))


def spans_of(words: Sequence[tuple[int, Span]], tags: Sequence[int], slot_names: Sequence[str]) -> tuple[SlotSpan, ...]:
    """Return the slots that the tags of a text's words describe, in order and without overlap.

    An inside tag that follows no tag of the same slot begins a slot, so that one wrong first tag changes the boundary
    but does not lose the slot.

    Args:
        words: (W,) as `word_spans` returns them.
        tags: (W,) one tag a word.
        slot_names: the S slot types of the model.
    """
    spans: list[SlotSpan] = []
    name: str | None = None
    for (_, (start, end)), tag in zip(words, tags, strict=True):
        if tag == OUTSIDE:
            name = None
            continue
        slot, goes_on = divmod(tag - 1, 2)
        if goes_on and name == slot_names[slot]:
            spans[-1] = SlotSpan(name, spans[-1].start, end)
        else:
            name = slot_names[slot]
            spans.append(SlotSpan(name, start, end))
    return tuple(spans)
