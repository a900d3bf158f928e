"""The catalogue: complete in three languages, strict about mistakes, open to new types."""

from datetime import date
from pathlib import Path

import pytest

from certificates import catalogue
from certificates.catalogue import LANGUAGES, Catalogue, read
from certificates.catalogue import fields as field_rules
from certificates.errors import InvalidCatalogue, UnknownType

FOLDER = Path(catalogue.__file__).parent


def test_every_word_exists_in_three_languages(types):
    for kind in types.values():
        words = [kind.labels, kind.description]
        words += [field.labels for field in kind.fields.values()]
        words += [c.labels for field in kind.fields.values() for c in field.choices]
        words += [purpose.names for purpose in kind.purposes.values()]
        for each in words:
            assert set(each) == set(LANGUAGES)
            assert all(text.strip() for text in each.values())


def test_traditional_words_are_written_not_copied(types):
    for kind in types.values():
        assert kind.labels["zh-Hant"] != kind.labels["zh-Hans"] or kind.name == "residence-permit"


def test_every_example_passes_its_own_rules(types):
    for kind in types.values():
        fields = {name: field.example for name, field in kind.fields.items() if field.example}

        assert field_rules.check(kind, fields, date(2026, 11, 24)) == [], kind.name


def test_every_purpose_names_its_law_and_only_known_fields(types):
    for kind in types.values():
        for purpose in kind.purposes.values():
            assert purpose.legal_basis
            assert set(purpose.fields) <= set(kind.fields)


def test_the_public_sees_nothing_personal(types):
    for kind in types.values():
        shown = [kind.fields[name] for name in kind.visible("public-check")]
        assert not any(field.personal for field in shown), kind.name


def test_an_unknown_purpose_sees_nothing(types):
    assert types["residence-permit"].visible("curiosity") == ()


def test_types_are_found_by_name_and_by_national_code(types):
    kind = types.find("food-business-licence")

    assert types.find(kind.code) is kind
    with pytest.raises(UnknownType, match="residence-permit"):
        types.find("driving-licence")


def test_a_new_type_is_one_more_file(tmp_path):
    text = (FOLDER / "residence-permit.toml").read_text()
    text = text.replace('"residence-permit"', '"dog-licence"').replace("016001", "016002")
    (tmp_path / "dog-licence.toml").write_text(text)

    assert "dog-licence" in Catalogue.load(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "mistake"),
    [
        ('name = "holder_name"\n', 'name = "holder"\n', "not a field of the type"),
        ("[purposes.public-check]", "[purposes.public-look]", "public-check is missing"),
        ('formats = ["pdf", ', 'formats = ["ofd", ', "formats must be among"),
        ("119900000000001016001", "119900000000001015001", "organisation code"),
        ("version = 1", 'version = 1\ncolour = "red"', "colour"),
        ('zh-Hant = "居住證", ', "", "must have exactly"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path, before, after, mistake):
    text = (FOLDER / "residence-permit.toml").read_text()
    assert before in text
    (tmp_path / "wrong.toml").write_text(text.replace(before, after, 1))

    with pytest.raises(InvalidCatalogue, match=mistake) as caught:
        read(tmp_path / "wrong.toml")
    assert "wrong.toml" in caught.value.detail


def test_any_change_to_a_type_changes_its_digest(types, tmp_path):
    text = (FOLDER / "residence-permit.toml").read_text()
    (tmp_path / "r.toml").write_text(text.replace("years = 1", "years = 2"))

    assert read(tmp_path / "r.toml").digest != types["residence-permit"].digest


def test_type_metadata_is_that_of_the_credential(types):
    kind = types["food-business-licence"]
    metadata = kind.metadata("https://yinzheng.test")

    assert metadata["vct"] == "https://yinzheng.test/types/food-business-licence/1"
    assert {claim["path"][0] for claim in metadata["claims"]} == set(kind.fields)
