"""Two types as they are shipped: an organisation's and a person's."""

import pytest


@pytest.fixture
def food(types):
    return types["food-business-licence"]


@pytest.fixture
def permit(types):
    return types["residence-permit"]
