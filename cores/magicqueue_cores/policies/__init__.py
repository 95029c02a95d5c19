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
from magicqueue_cores.policies.cron_facts import Cron
from magicqueue_cores.policies.cron_plans import CronPlan
from magicqueue_cores.policies.crons import Crons, CronSet, CronStats
from magicqueue_cores.policies.flows import Flows
from magicqueue_cores.policies.groups import GroupStats
from magicqueue_cores.policies.layer import Policies
from magicqueue_cores.policies.options import PolicyOptions
from magicqueue_cores.policies.rules import Bounds, Rate, Rule
from magicqueue_cores.policies.schedules import BadCron
from magicqueue_cores.policies.telling import Pulled
from magicqueue_cores.policies.wishes import InGroups, Wishes

__all__ = [
    "BadCron",
    "BadRepeat",
    "BadWish",
    "Beats",
    "Bounds",
    "Cancelled",
    "Cron",
    "CronPlan",
    "CronSet",
    "CronStats",
    "Crons",
    "Duplicate",
    "Ending",
    "Failures",
    "Flows",
    "GroupStats",
    "InGroups",
    "Known",
    "Policies",
    "PolicyOptions",
    "PolicyStats",
    "Progress",
    "Pulled",
    "PushAnswer",
    "Rate",
    "Rule",
    "TooLarge",
    "Wishes",
]
