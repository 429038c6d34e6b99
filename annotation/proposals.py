"""Proposals: names in answers that are outside the inventory. They vote as they are, and stay out of the label."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from annotation.votes import Content
from corpus.names import name_key
from corpus.records.annotations import Annotation, Label
from corpus.records.base import OTHER_INTENT
from corpus.records.inventory import Inventory

PROPOSED: Final = "\x00"
"""Begins the name of a proposal while answers are merged; no name of an inventory holds this character."""


def resolved(annotation: Annotation, inventory: Inventory) -> Annotation:
    """Return an answer with the names in use; a name outside the inventory becomes `PROPOSED` and its key.

    An answer with the intent `other` and a proposal means what the proposal means, once this is in the inventory.
    """
    intents, slots = inventory.intents, inventory.slots
    intent, proposal = annotation.intent, annotation.proposal
    if proposal is not None and intent in (None, OTHER_INTENT):
        known = intents.resolve(proposal)
        if known is not None:
            intent, proposal = known, None
    elif intent is not None:
        known = intents.resolve(intent)
        if known is None:  # it was in the inventory when it was said
            proposal = intent
        intent = known
    if intent is None and proposal is not None:
        proposal = name_key(proposal, intents.fold_case)
        intent = PROPOSED + proposal
    spans = tuple(
        replace(slot, name=slots.resolve(slot.name) or PROPOSED + name_key(slot.name, slots.fold_case))
        for slot in annotation.slots
    )
    return replace(annotation, intent=intent, proposal=proposal, slots=spans)


def without_vote(annotation: Annotation) -> Annotation:
    """Return a resolved answer without an intent where this is a proposal: what is learned of people holds no content.

    The reliability of annotators is stored in clear, with the names that they confuse.
    """
    is_proposal = annotation.intent is not None and annotation.intent.startswith(PROPOSED)
    return replace(annotation, intent=None) if is_proposal else annotation


def without_proposals(content: Content) -> tuple[Content, bool]:
    """Return the content of a label without proposals, and whether all its slots are left."""
    intent = None if content.intent is not None and content.intent.startswith(PROPOSED) else content.intent
    slots = tuple(slot for slot in content.slots if not slot.name.startswith(PROPOSED))
    return replace(content, intent=intent, slots=slots), len(slots) == len(content.slots)


def renamed(label: Label, inventory: Inventory) -> Label:
    """Return a label that came with a manifest, with the names in use; names outside the inventory stay."""
    intent = label.intent and (inventory.intents.resolve(label.intent) or label.intent)
    slots = tuple(replace(slot, name=inventory.slots.resolve(slot.name) or slot.name) for slot in label.slots)
    return replace(label, intent=intent, slots=slots)
