"""A mirror: found where it lies, identified by what its files contain."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import DataError, HubError
from isthmus.hubs.mirror import Mirror, read


def spec(**changes):
    source = {"hub": "hub", "id": "owner/name", "config": "en", "revision": None, **changes}
    return {"source": source, "splits": {"train": "train"}}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "mirror" / "owner" / "name" / "en"
    folder.mkdir(parents=True)
    for shard in range(2):
        pq.write_table(
            pa.table({"x": [shard * 2, shard * 2 + 1]}), folder / f"train-0000{shard}-of-00002.parquet"
        )
    return tmp_path / "mirror"


def test_shards_are_read_in_order(root):
    assert read(spec()["source"], "train", root)["x"].to_pylist() == [0, 1, 2, 3]


def test_it_offers_what_is_there(root):
    mirror = Mirror(root)
    assert mirror.offers("owner/name", "en", "train")
    assert not mirror.offers("owner/name", "en", "test")
    assert not mirror.offers("owner/name", "de", "train")


def test_a_lost_shard_is_named(root):
    (root / "owner" / "name" / "en" / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(HubError, match="1 of 2 shards of owner/name en train"):
        read(spec()["source"], "train", root)


def test_a_missing_split_says_where_it_should_be(root):
    with pytest.raises(HubError, match=r"owner/name/de/train-00000-of-"):
        read(spec(config="de")["source"], "train", root)


def test_a_page_in_the_place_of_data_is_refused(root):
    (root / "owner" / "name" / "en" / "train-00000-of-00002.parquet").write_text("<html>Please log in</html>")
    with pytest.raises(DataError, match="not a readable parquet file"):
        read(spec()["source"], "train", root)


def test_contents_follow_the_bytes_and_not_the_place(root, tmp_path):
    before = Mirror(root).contents(spec())
    moved = tmp_path / "moved"
    root.rename(moved)
    assert Mirror(moved).contents(spec()) == before
    pq.write_table(pa.table({"x": [9]}), moved / "owner" / "name" / "en" / "train-00000-of-00002.parquet")
    assert Mirror(moved).contents(spec()) != before


def test_contents_of_what_is_not_there_are_unknown(root):
    assert Mirror(root).contents(spec(config="de")) is None
