"""PostgreSQL loses its power under load; the house waits, comes back, and has lost nothing."""

from pathlib import Path

import pytest

from server.sandbox.visitors import Program
from tests.faults.traffic import Traffic
from tests.simulators.office import open_office
from tests.simulators.postgresql import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def test_an_immediate_restart_of_postgresql_loses_nothing_that_was_acknowledged(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    with open_office(tmp_path, own_cluster.url("faults")) as office:
        program = Program(office.origin, "shili-bank", office.new_secret("shili-bank"))
        traffic = Traffic(office, program)
        traffic.start()
        traffic.wait_for(20)

        own_cluster.restart_immediately()
        office.wait_until_ready()
        traffic.wait_for(10)
        history = traffic.stop()

        for receipt_id in history.acknowledged.values():
            assert traffic.receipt(receipt_id)
        resolved = {key: traffic.resolve(key) for key in history.unknown[-3:]}
        assert resolved == {key: traffic.ask(key) for key in resolved}
        assert office.fsck()[1] == []
