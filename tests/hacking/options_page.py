"""docs/options.md, made of the table of options.

`python tests/hacking/options_page.py` writes the page anew; a test compares it.
"""

from pathlib import Path
from typing import Final

from magicqueue_server.options import OPTIONS, Option

PAGE: Final = Path(__file__).parents[2] / "docs" / "options.md"
HEAD: Final = """\
# Options of the server

What `magicqueue serve` can be told, each in four ways: a flag wins over the environment, that over the config file (`--config FILE`,
TOML, or `MAGICQUEUE_CONFIG`), that over the default. `magicqueue serve --print-config` shows what is in force, and where
it comes from. This page is made of the source: `python tests/hacking/options_page.py` writes it anew.

SPAN is `500ms`, `30s`, `5m`, `1h30m` or `2d`; SIZE is `64KiB`, `512MiB` or `2GB`; a switch is on as `--persist`, off as
`--no-persist`, and `true` or `false` elsewhere.

| Config key | Flag | Environment | Default | Meaning |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    return HEAD + "".join(map(_row, OPTIONS))


def _row(option: Option) -> str:
    flag = f"--{option.name.replace('_', '-')}"
    if not option.is_flag:
        flag += f" {option.kind}"
    variables = "<br>".join(f"`{name}`" for name in option.variables)
    default = f"`{option.default}`" if option.default else "none"
    cells = (f"`{option.name}`", f"`{flag}`", variables, default, option.help)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
