"""What is sold."""

from django.db import models


class Order(models.Model):
    """Somebody has ordered something."""

    email = models.EmailField()
    confirmed = models.BooleanField(default=False)
