"""Sealing in several processes."""

import functools
from dataclasses import replace

import pytest

from foundation.database import Database
from foundation.encryption import FieldCipher
from keys import Keys
from keys.backends.software import SoftwareBackend
from signing import Seal, Seals, Signing
from signing.pool import NotSealed, Order, Sealed, SealingPool
from tests.signing.conftest import BOX, House
from tests.signing.pages import page
from tests.simulators.clock import MovableClock


def open_signing(url: str, master_key: bytes, clock: MovableClock) -> Signing:
    """What the composition root does, in a process of its own."""
    database = Database(url, FieldCipher(master_key))
    keys = Keys(database, SoftwareBackend(master_key), clock)
    return Signing(Seals(database, keys, clock), keys, clock)


@pytest.fixture
def order(house: House, seal: Seal) -> Order:
    return Order(seal, page(), house.approval(), "content", house.clock(), BOX)


@pytest.mark.slow
def test_every_order_is_answered_in_its_place(
    house: House, order: Order, master_key: bytes
) -> None:
    orders = [replace(order, reason=f"no. {number}") for number in range(40)]
    orders[7] = replace(order, content_digest="swapped")
    opener = functools.partial(open_signing, house.database.url, master_key, house.clock)

    with SealingPool(opener, processes=2) as pool:
        answers = list(pool.seal_all(orders))

    assert answers[7] == NotSealed(
        "content_not_approved", "the content changed after it was approved"
    )
    sealed = [answer for answer in answers if isinstance(answer, Sealed)]
    documents = [answer.document for answer in sealed]
    assert len({document.digest for document in documents}) == 39
    assert {house.signing.validate(each.data).indication for each in documents} == {"valid"}
    with house.database.write() as tx:
        house.keys.keep(tx, [answer.trail for answer in sealed])
    assert len(house.keys.uses_of(order.seal.use, limit=100)) == 39
