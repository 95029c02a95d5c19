"""The first tables."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Make the table of orders."""

    operations = [
        migrations.CreateModel(
            "Order",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("email", models.EmailField(max_length=254)),
                ("confirmed", models.BooleanField(default=False)),
            ],
        )
    ]
