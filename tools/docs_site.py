"""What mkdocs does to the pages: the table of models, and cards and recipes that pages point to."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from ddsp_zoo import zoo

ROOT = Path(__file__).parent.parent
BESIDE = re.compile(r"\[([^\]]*)\]\(\.\./([^)#]+)\)")  # links from docs/ to what lies beside it: words, place
MODELS = "<!-- models -->"  # where the table goes


def on_files(files: Files, config: Any) -> Files:
    """Adds the cards, and every file beside docs/ that a page points to."""
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]
    named = {place for page in pages for _, place in BESIDE.findall(page)}
    wanted = {place for place in named if (ROOT / place).is_file()}
    wanted |= {str(path.relative_to(ROOT)) for path in ROOT.glob("checkpoints/*/card.md")}
    for place in sorted(wanted):
        files.append(File.generated(config, place, abs_src_path=str(ROOT / place)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Returns a page with the table of models in its place, and links to where the files are now."""
    markdown = markdown.replace(MODELS, models()) if MODELS in markdown else markdown
    return markdown if "/" in page.file.src_uri else BESIDE.sub(_linked, markdown)


def _linked(link: re.Match) -> str:
    """The link to a file where it is among the pages; of a folder the words alone."""
    words, place = link.groups()
    return f"[{words}]({place})" if (ROOT / place).is_file() else words


def models() -> str:
    """Returns a table of all models of the manifest, each with a link to its card."""
    lines = ["| model | what it does | sources | rate | weights |", "|---|---|---|---|---|"]
    for name in zoo.list_models():
        row = zoo.info(name)
        card = f"checkpoints/{row.get('stem_of', name)}/card.md"
        sources, licence = ", ".join(row["sources"]), row["licences"]["weights"]
        rate = f"{row['sample_rate'] / 1000:g} kHz"
        lines.append(f"| [`{name}`]({card}) | {row['summary']} | {sources} | {rate} | {licence} |")
    return "\n".join(lines)
