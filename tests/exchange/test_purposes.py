"""Who may ask what: a registry that cannot grant more than the catalogue allows."""

from dataclasses import replace

import pytest

from exchange import Purpose
from exchange.errors import PurposeNotAllowed
from exchange.models import EVERYONE
from tests.exchange.conftest import BANK, FOOD_BUREAU, FOOD_INSPECTION, INSPECTOR, asking

FOOD_TYPE = "food-business-licence"


def purpose(house, **changed) -> Purpose:
    known = house.catalogue[FOOD_TYPE].purposes[FOOD_INSPECTION]
    granted = Purpose(
        organisation=BANK,
        type=FOOD_TYPE,
        code=FOOD_INSPECTION,
        names=known.names,
        legal_bases=(known.legal_basis,),
        fields=known.fields,
    )
    return replace(granted, **changed)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"type": "driving-licence"}, "unknown_type"),
        ({"code": "curiosity"}, "unknown_purpose"),
        ({"code": "public-check"}, "unknown_purpose"),
        ({"fields": ("operator_name", "shoe_size")}, "field_not_allowed"),
        ({"code": "loan-application"}, "field_not_allowed"),
        ({"predicates": ("holder_is_rich",)}, "unknown_predicate"),
        ({"legal_bases": ()}, "required"),
        ({"organisation": ""}, "required"),
    ],
)
def test_more_than_the_catalogue_allows_is_refused(house, changed, code):
    with pytest.raises(PurposeNotAllowed) as refused, house.database.write() as tx:
        house.purposes.register(tx, purpose(house, **changed))

    assert code in [error.code for error in refused.value.errors]


def test_a_department_sees_its_own_purposes_and_everyones(house):
    found = house.purposes.of(FOOD_BUREAU)

    assert [each.code for each in found if each.organisation == FOOD_BUREAU] == [FOOD_INSPECTION]
    assert {each.code for each in found if each.organisation == EVERYONE} == {
        "public-check",
        "holder-show",
    }
    assert all(set(each.names) == {"zh-Hans", "zh-Hant", "en"} for each in found)


def test_registering_again_replaces(house, licence):
    with house.database.write() as tx:
        house.purposes.grant(tx, FOOD_BUREAU, FOOD_TYPE, FOOD_INSPECTION, fields=["valid_until"])

    assert set(house.ask(asking(licence.number)).fields) == {"valid_until"}


def test_a_yes_or_no_answer_instead_of_a_value(house):
    permit = house.issue("residence-permit")
    code = next(
        code
        for code in house.catalogue["residence-permit"].purposes
        if code not in {"public-check", "holder-show"}
    )
    with house.database.write() as tx:
        granted = house.purposes.grant(
            tx,
            FOOD_BUREAU,
            "residence-permit",
            code,
            fields=[],
            predicates=["holder_is_adult"],
        )

    verdict = house.ask(
        asking(permit.number, purpose=code, legal_basis=granted.legal_bases[0]), INSPECTOR
    )

    assert verdict.verdict == "valid"
    assert verdict.predicates == {"holder_is_adult": True}
    assert verdict.fields == {}
    assert house.looks(permit)[0].disclosed == ("holder_is_adult",)
