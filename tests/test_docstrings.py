"""Every public docstring begins with what is done: a verb in the third person, such as "Returns"."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ddsp_zoo

PACKAGE = Path(ddsp_zoo.__file__).parent
NO_VERBS = set(
    "Amplitudes As Centres Coefficients Controls Cosines Experiments Features Flags Frames Frequencies Gradients "
    "Harmonics Indices Is Its Levels Loss Losses Magnitudes Names Notes Partials Phases Pieces Pitches Rows Samples "
    "Seconds Settings Sinusoids Sources Spectra Stems Strings This Values Voices Weights Windows".split()
)
RIDDLES = {"From", "How", "What", "When", "Where", "Which", "Who", "Why"}  # no module begins with them
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def is_verb(word: str) -> bool:
    return word[:1].isupper() and word.isalpha() and word.endswith("s") and word not in NO_VERBS


def definitions(parent: ast.AST) -> Iterator[Definition]:
    """Yields public classes and functions, and what is public in those classes."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Definition):
            if not node.name.startswith("_"):
                yield node
                if isinstance(node, ast.ClassDef):
                    yield from definitions(node)
        elif not isinstance(node, ast.expr):
            yield from definitions(node)


def offenders(source: str) -> Iterator[tuple[int, str]]:
    """Yields line and reason of every docstring that begins in another way."""
    module = ast.parse(source)
    text = ast.get_docstring(module)
    if text is not None and first_word(text) in RIDDLES:
        yield 1, f"module: {text.splitlines()[0]}"
    for node in definitions(module):
        text = ast.get_docstring(node)
        if text is not None and not is_verb(first_word(text)):
            yield node.lineno, f"{node.name}: {text.splitlines()[0]}"


def first_word(text: str) -> str:
    return text.split()[0].rstrip(".,:;")


@pytest.mark.parametrize("line", ["Returns audio.", "Raises, if it must."])
def test_a_verb_is_let_pass(line):
    assert list(offenders(f'def f():\n    """{line}"""')) == []


@pytest.mark.parametrize(
    "line",
    ["Return audio.", "(B, T) -> (B, S, T).", "The audio.", "What is heard.", "Weights of it.", "returns it"],
)
@pytest.mark.parametrize(
    "code",
    ['def f():\n    """{}"""', 'class C:\n    """{}"""', 'class C:\n    def f(self):\n        """{}"""'],
)
def test_other_beginnings_are_found(code, line):
    found = list(offenders(code.format(line)))
    assert len(found) == 1 and found[0][1].endswith(line)


def test_modules_begin_with_no_riddle():
    assert list(offenders('"""How it is done."""')) == [(1, "module: How it is done.")]
    assert list(offenders('"""The way it is done."""')) == []


def test_every_public_docstring_begins_with_what_is_done():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{line} {reason}"
        for path in files
        for line, reason in offenders(path.read_text())
    ]
    assert not found, "Begin with a verb in the third person, such as Returns:\n" + "\n".join(found)
