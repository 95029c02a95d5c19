"""Policies: unique keys, times to live, results, limits: one layer above any core."""

from magicqueue_cores.policies.answers import (
    BadRepeat,
    BadWish,
    Beats,
    Cancelled,
    Duplicate,
    Ending,
    Failures,
    Known,
    PolicyStats,
    Progress,
    PushAnswer,
    TooLarge,
)
from magicqueue_cores.policies.flows import Flows
from magicqueue_cores.policies.layer import Policies
from magicqueue_cores.policies.options import PolicyOptions
from magicqueue_cores.policies.rules import Bounds, Rate, Rule
from magicqueue_cores.policies.wishes import Wishes

__all__ = [
    "BadRepeat",
    "BadWish",
    "Beats",
    "Bounds",
    "Cancelled",
    "Duplicate",
    "Ending",
    "Failures",
    "Flows",
    "Known",
    "Policies",
    "PolicyOptions",
    "PolicyStats",
    "Progress",
    "PushAnswer",
    "Rate",
    "Rule",
    "TooLarge",
    "Wishes",
]
