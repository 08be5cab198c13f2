import json
import platform
from datetime import UTC, datetime, timedelta

from napari_mmsubtype.core.provenance import Provenance


def test_names_versions_and_time_but_no_machine_or_user():
    collected = Provenance.collect()
    assert collected.packages["numpy"].split(".")[0].isdigit()
    age = datetime.now(UTC) - datetime.fromisoformat(collected.created)
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)
    text = json.dumps(collected.to_dict())
    assert platform.node() not in text or len(platform.node()) < 3
