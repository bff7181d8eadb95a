from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from edgemoe_appliance.container.file_transfer import BindExchange, unpack_session
from edgemoe_appliance.container.launch import IMAGE_USER, PLAN_IN_CONTAINER_NAME, User
from edgemoe_appliance.container.tarstream import build_tar
from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.schema.plan import read_plan
from tests.container.plans import plan

SOMEBODY = User(uid=IMAGE_USER, gid=IMAGE_USER)


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    out.seek(0)
    return out


def test_session_is_unpacked_without_its_top_folder(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("session")
    folder.type = tarfile.DIRTYPE
    unpack_session(
        archive_of(
            (folder, b""),
            (tarfile.TarInfo("session/runs.jsonl"), b"{}\n"),
            (tarfile.TarInfo("session/samples/a.gz"), b"gz"),
        ),
        tmp_path,
    )
    assert (tmp_path / "runs.jsonl").read_bytes() == b"{}\n"
    assert (tmp_path / "samples" / "a.gz").read_bytes() == b"gz"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs.jsonl", "samples"]


@pytest.mark.parametrize("name", ["session/../../etc/passwd", "/etc/passwd", "lonely"])
def test_member_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError):
        unpack_session(archive_of((tarfile.TarInfo(name), b"x")), tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_anything_but_files_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("session/odd")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(RecordError, match="odd"):
        unpack_session(archive_of((member, b"")), tmp_path)


def test_truncated_archive_leaves_no_half_file(tmp_path: Path) -> None:
    whole = archive_of((tarfile.TarInfo("session/big"), b"x" * 100_000)).getvalue()
    with pytest.raises(HostError, match="cut off"):
        unpack_session(io.BytesIO(whole[:50_000]), tmp_path)
    assert not (tmp_path / "big").exists()
    assert not list(tmp_path.glob(".*partial"))


def test_files_are_sent_as_the_images_user(tmp_path: Path) -> None:
    (tmp_path / "odd size").write_bytes(b"y" * 700)
    (tmp_path / "empty").touch()
    files = [(tmp_path / name, name) for name in ("odd size", "empty")]
    with tarfile.open(fileobj=io.BytesIO(b"".join(build_tar(files, IMAGE_USER)))) as archive:
        found = {m.name: (m.size, m.uid, m.gid, m.mode) for m in archive}
        content = archive.extractfile("odd size")
        assert content is not None and content.read() == b"y" * 700
    assert found == {
        "odd size": (700, IMAGE_USER, IMAGE_USER, 0o644),
        "empty": (0, IMAGE_USER, IMAGE_USER, 0o644),
    }


def model_file(folder: Path, mode: int) -> Path:
    path = folder / "m.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(mode)
    return path


def test_model_that_the_container_could_not_read_is_refused_before_start(tmp_path: Path) -> None:
    given = plan(models={"m": model_file(tmp_path, 0o600)})
    with pytest.raises(HostError, match="may not read the model") as caught:
        BindExchange(given, tmp_path, SOMEBODY).prepare()
    assert "chmod a+r" in caught.value.hint


def test_missing_model_is_refused_before_start(tmp_path: Path) -> None:
    given = plan(models={"m": tmp_path / "none.gguf"})
    with pytest.raises(HostError, match="No such file"):
        BindExchange(given, tmp_path, SOMEBODY).prepare()


def test_owner_and_group_may_read_too(tmp_path: Path) -> None:
    path = model_file(tmp_path, 0o440)
    owner = path.stat()
    for user in (User(uid=owner.st_uid, gid=1), User(uid=IMAGE_USER, gid=owner.st_gid)):
        session = tmp_path / str(user.uid)
        session.mkdir()
        BindExchange(plan(models={"m": path}), session, user).prepare()
        assert (session / PLAN_IN_CONTAINER_NAME).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_session_folder_is_lent_to_the_container_and_given_back(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    (session / "runs.jsonl").touch()
    (session / "link").symlink_to("/etc/passwd")
    before = Path("/etc/passwd").stat().st_uid
    exchange = BindExchange(plan(models={"m": model_file(tmp_path, 0o644)}), session, SOMEBODY)
    exchange.prepare()
    assert {p.lstat().st_uid for p in (session, *session.iterdir())} == {IMAGE_USER}
    assert Path("/etc/passwd").stat().st_uid == before, "links are not followed"
    exchange.collect("unused")
    assert {p.lstat().st_uid for p in (session, *session.iterdir())} == {tmp_path.stat().st_uid}


def test_plan_in_the_folder_is_the_one_for_inside(tmp_path: Path) -> None:
    given = plan(models={"m": model_file(tmp_path, 0o644)})
    session = tmp_path / "session"
    session.mkdir()
    owner = session.stat()
    BindExchange(given, session, User(uid=owner.st_uid, gid=owner.st_gid)).prepare()
    inside = read_plan(session / PLAN_IN_CONTAINER_NAME)
    assert inside.models["m"].path == "/models/m/m.gguf"
    assert inside.digest == given.digest
    assert stat.S_IMODE((session / PLAN_IN_CONTAINER_NAME).stat().st_mode) & stat.S_IRUSR
