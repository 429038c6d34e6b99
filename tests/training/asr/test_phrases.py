from __future__ import annotations

import pytest

from corpus.errors import SettingsError
from training.asr.phrases import ALL, phrase_files, read_all_phrases, read_phrases


def test_phrases_are_read_a_line_each_in_normal_form(tmp_path):
    file = tmp_path / "phrases.txt"
    file.write_text("# artists\nDua Lipa!\n\nanna  # a contact\ndua lipa\n", encoding="utf-8")
    assert read_phrases(file) == ["anna", "dua lipa"]
    assert read_all_phrases(file) == (("anna", "dua lipa"), {})
    with pytest.raises(SettingsError, match=r"missing\.txt"):
        read_phrases(tmp_path / "missing.txt")


def test_a_folder_has_a_file_for_each_locale_however_it_is_written_and_one_for_all(tmp_path):
    lists = {"all.txt": "Dua Lipa\n", "de_at.txt": "Grüß Gott\n", "EN-gb.txt": "# nobody\n", "zh-hant.txt": "anna\nbea"}
    for name, text in lists.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / ".hidden").write_text("anna\n")
    names = {locale: file.name for locale, file in phrase_files(tmp_path).items()}
    assert names == {ALL: "all.txt", "de-AT": "de_at.txt", "en-GB": "EN-gb.txt", "zh-Hant": "zh-hant.txt"}
    assert read_all_phrases(tmp_path) == (("dua lipa",), {"de-AT": ("grüss gott",), "zh-Hant": ("anna", "bea")})
    (tmp_path / "all.txt").unlink()
    assert read_all_phrases(tmp_path)[0] == ()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "lists: the folder of asr.beam.phrases is empty; put all.txt or a file such as en-GB.txt into it"),
        ([".hidden"], "lists: the folder of asr.beam.phrases is empty"),
        (
            ["german.txt"],
            "lists/german.txt: the file is not named as a locale; rename it, such as en-GB.txt, or all.txt",
        ),
        (["de-AT.txt~"], "lists/de-AT.txt~: the file is not named as a locale"),
        (["de-AT"], "lists/de-AT: the file is not named as a locale"),
        (["de-AT.txt", "de_at.txt"], "lists: de-AT.txt and de_at.txt are both of de-AT; join them in one file"),
        (["de-AT.txt/"], "de-AT.txt: is not a regular file"),
    ],
)
def test_a_folder_that_is_empty_or_has_a_file_of_another_name_says_so(tmp_path, names, said):
    (tmp_path / "lists").mkdir()
    for name in names:
        place = tmp_path / "lists" / name
        place.mkdir() if name.endswith("/") else place.write_text("anna\n")
    with pytest.raises(SettingsError, match=said) as caught:
        read_all_phrases(tmp_path / "lists")
    assert "\n" not in str(caught.value)


def test_a_place_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SettingsError, match=r"gone: there is no such file or folder; check asr\.beam\.phrases"):
        phrase_files(tmp_path / "gone")
