"""One cache folder for weights and corpora."""

from pathlib import Path

import pytest

from ddsp_zoo.files.cache import cache_root, fingerprint, folder_or_cache


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for variable in ("DDSP_ZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", "~/elsewhere")
    assert cache_root() == tmp_path / "elsewhere"
    assert folder_or_cache(None, "choir") == tmp_path / "elsewhere" / "choir"
    assert folder_or_cache("~/mine", "choir") == tmp_path / "mine"


def test_weights_and_corpora_share_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ddsp_zoo.corpora import RenderedChoir
    from ddsp_zoo.zoo import find, manifest

    monkeypatch.setenv("DDSP_ZOO_CACHE", "~/elsewhere")
    monkeypatch.setenv("DDSP_ZOO_HUB", "http://127.0.0.1:9")
    assert RenderedChoir().root.is_relative_to(tmp_path / "elsewhere")
    monkeypatch.setattr(manifest, "bundle", lambda: tmp_path)
    (tmp_path / "manifest.json").write_text(
        '{"hub": {"revision": "x", "repository": "r", "endpoint": "e", "published": true}, "models": '
        '{"m": {"files": {"model.safetensors": {"sha256": "0", "size": 1}}}}}'
    )
    with pytest.raises(Exception, match="stopped at 0 of 1"):
        find("m")
    assert not list(tmp_path.glob("*~*")) and not list(tmp_path.glob("**/ddsp_zoo"))
    assert (tmp_path / "elsewhere" / "m" / "x").is_dir()


def test_the_user_cache_folder_of_the_system_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_root().is_relative_to(tmp_path) and cache_root().name == "ddsp_zoo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "ddsp_zoo"


def test_names_follow_from_settings() -> None:
    assert fingerprint(a=1, b=[2]) == fingerprint(b=[2], a=1) != fingerprint(a=1, b=[3])
