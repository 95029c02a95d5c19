"""What `make docs` does besides: pages that stand elsewhere, and links that leave docs/.

cores/DESIGN.md and CHANGELOG.md are pages of the site, too; links to them are followed. A
link to another file of the repository is shown as the file's name, since the site has no
address for it.
"""

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
ELSEWHERE: Final = {"DESIGN.md": "cores/DESIGN.md", "CHANGELOG.md": "CHANGELOG.md"}
_LINK: Final = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere."""
    for name, path in ELSEWHERE.items():
        text = (ROOT / path).read_text()
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Have links out of docs/ lead to the page that is there, or nowhere."""
    folder = posixpath.dirname(page.file.src_uri)
    pages = {path: name for name, path in ELSEWHERE.items()}

    def replaced(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = posixpath.normpath(posixpath.join("docs", folder, target))
        if path.startswith("docs/"):
            return link[0]
        if path in pages:
            return f"[{text}]({posixpath.relpath(pages[path], folder or '.')}{anchor})"
        return f"{text} (`{path}`)"

    return _LINK.sub(replaced, markdown)
