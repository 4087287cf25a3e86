"""The pages of docs/ hang together: what they link to is there, and mkdocs builds them."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
MOST_BYTES = 1_000_000  # of audio


def headings(page: Path) -> set[str]:
    """The anchors of a page, as mkdocs and others name them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in (a or b for a, b in LINK.findall(text)):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place) if place else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in headings(target), f"{page.name} links to {link}"


def test_the_menu_has_every_page_and_the_audio_is_small() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def places(part: object) -> list[str]:
        return [part] if isinstance(part, str) else [p for own in children(part) for p in places(own)]

    def children(part: object) -> list:
        return list(part.values()) if isinstance(part, dict) else part

    assert sorted(places(config["nav"])) == sorted(page.name for page in DOCS.glob("*.md"))
    audio = list((DOCS / "audio").glob("*.mp3"))
    assert sum(path.stat().st_size for path in audio) < MOST_BYTES
    heard = {src for page in PAGES for _, src in LINK.findall(page.read_text(encoding="utf-8")) if src}
    assert {f"audio/{path.name}" for path in audio} == heard


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra `docs`")
def test_the_pages_are_built_and_need_no_network(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True)
    table = (tmp_path / "models.html").read_text(encoding="utf-8")
    assert "checkpoints/umss_4v/card.html" in table and "ast_ddsp_bass" in table
    assert "separate_files" in (tmp_path / "api.html").read_text(encoding="utf-8")
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r"<(?:link|script|img|audio)[^>]+(?:href|src)=\"(https?://[^\"]+)", page.read_text()
        )
        assert loaded == [], page.name
