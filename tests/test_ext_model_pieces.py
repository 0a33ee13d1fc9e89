"""The real model's file in pieces, as the site has it."""

import hashlib
import json

import numpy as np
import pytest
from model_pieces import write_pieces  # book/_ext/model_pieces.py


def pieces_of(folder):
    """Check the folder against its list, and put the file together."""
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert set(index) == {"size", "pieces"}
    content = b""
    for piece in index["pieces"]:
        part = (folder / piece["file"]).read_bytes()
        sha256 = hashlib.sha256(part).hexdigest()
        assert piece == {"file": piece["file"], "size": len(part), "sha256": sha256}
        assert piece["file"] == f"{sha256[:16]}.bin"
        content += part
    assert index["size"] == len(content)
    listed = {piece["file"] for piece in index["pieces"]}
    assert {path.name for path in folder.iterdir()} == {"index.json", *listed}
    return index["pieces"], content


def random_bytes(n, seed=0):
    return np.random.default_rng(seed).bytes(n)


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (0, []),
        (1, [1]),
        (99, [99]),
        (100, [100]),
        (101, [100, 1]),
        (350, [100, 100, 100, 50]),
    ],
)
def test_a_file_in_pieces(tmp_path, size, sizes):
    file = tmp_path / "file"
    file.write_bytes(random_bytes(size))
    folder = tmp_path / "site" / "model"
    write_pieces(folder, file, 100)
    pieces, content = pieces_of(folder)
    assert content == file.read_bytes()
    assert [piece["size"] for piece in pieces] == sizes


def test_pieces_that_are_alike_are_one_file(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(3 * random_bytes(100))
    write_pieces(tmp_path / "model", str(file), 100)
    pieces, content = pieces_of(tmp_path / "model")
    assert content == file.read_bytes()
    assert len({piece["file"] for piece in pieces}) == 1


def test_what_is_there_stays_and_what_is_old_goes(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "model"
    first, second, third = (random_bytes(100, seed) for seed in range(3))
    file.write_bytes(first + second)
    write_pieces(folder, file, 100)
    (kept, dropped), _ = pieces_of(folder)
    # Times that no new file has show what is written again.
    for path in folder.iterdir():
        path.touch()
    before = (folder / kept["file"]).stat().st_mtime_ns
    (folder / "left-over.txt").write_text("", "utf-8")
    file.write_bytes(first + third)
    write_pieces(folder, file, 100)
    pieces, content = pieces_of(folder)
    assert content == first + third
    assert pieces[0] == kept
    assert (folder / kept["file"]).stat().st_mtime_ns == before
    assert not (folder / dropped["file"]).exists()


def test_a_piece_that_was_cut_short_is_written_anew(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "model"
    file.write_bytes(random_bytes(250))
    write_pieces(folder, file, 100)
    pieces, _ = pieces_of(folder)
    (folder / pieces[1]["file"]).write_bytes(b"half")
    write_pieces(folder, file, 100)
    _, content = pieces_of(folder)
    assert content == file.read_bytes()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_pieces(tmp_path / "model", tmp_path / "none")
