"""Tasks as Django has them: they know nothing of MagicQueue."""

from functools import partial

from django.db import transaction

try:
    from django.tasks import task
except ImportError:  # before Django 6
    from django_tasks import task

from shop.models import Order


class Declined(Exception):
    """The bank says no."""


@task(queue_name="mail", priority=10)
def confirm(order_id: int) -> str:
    """Mail who has ordered."""
    order = Order.objects.get(pk=order_id)
    order.confirmed = True
    order.save()
    return order.email


@task(takes_context=True)
def charge(context, cents: int) -> int:
    """Ask the bank, which gives in at the third time."""
    if context.attempt < 3 or cents < 0:
        raise Declined(f"{cents} cents at attempt {context.attempt}")
    return cents


@task
async def count(numbers: list[int]) -> int:
    """Add numbers up."""
    return sum(numbers)


def order(email: str) -> Order:
    """Take an order; its mail is sent once the database has it, and not if it never has."""
    with transaction.atomic():
        made = Order.objects.create(email=email)
        transaction.on_commit(partial(confirm.enqueue, made.pk))
    return made
