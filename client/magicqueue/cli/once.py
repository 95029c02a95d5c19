"""A command that refuses an option given twice, where only the last would count."""

import click


class SaysOnce(click.Command):
    """Refuses a repeated option that takes a single value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments. Raises UsageError that names the option."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        seen: set[click.Parameter] = set()
        for parameter in order:
            is_single = isinstance(parameter, click.Option) and not (
                parameter.multiple or parameter.is_flag
            )
            if is_single and parameter in seen:
                raise click.UsageError(self.once(parameter), ctx)
            seen.add(parameter)
        return super().parse_args(ctx, args)

    def once(self, option: click.Parameter) -> str:
        """Say what is wrong and what to do."""
        return f"{option.opts[-1]} is given more than once: only one can count"
