from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from edgemoe_appliance.container.file_transfer import BindExchange, outgoing, unpack_session
from edgemoe_appliance.container.launch import IMAGE_USER, User
from edgemoe_appliance.container.tarstream import build_tar
from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.schema.journal import PLAN_INSIDE_NAME
from edgemoe_appliance.schema.plan import read_plan
from edgemoe_appliance.schema.sessionfolder import SessionFolder, host_folder
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


def unpacked(archive: io.BytesIO, folder: Path) -> RecordError | None:
    with SessionFolder(folder) as session:
        return unpack_session(archive, session)


def test_session_is_unpacked_without_its_top_folder(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("session")
    folder.type = tarfile.DIRTYPE
    archive = archive_of(
        (folder, b""),
        (tarfile.TarInfo("session/runs.jsonl"), b"{}\n"),
        (tarfile.TarInfo("session/samples/a.gz"), b"gz"),
        (tarfile.TarInfo("session/.reserve"), b"passing"),
    )
    assert unpacked(archive, tmp_path) is None
    assert (tmp_path / "runs.jsonl").read_bytes() == b"{}\n"
    assert (tmp_path / "samples" / "a.gz").read_bytes() == b"gz"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs.jsonl", "samples"]


@pytest.mark.parametrize(
    "name",
    [
        "session/../../etc/passwd",
        "/etc/passwd",
        "lonely",
        "session/session.json",
        "session/measure.log",
        "session/samples/deep/er",
    ],
)
def test_member_that_is_no_result_is_refused(tmp_path: Path, name: str) -> None:
    refused = unpacked(archive_of((tarfile.TarInfo(name), b"x")), tmp_path)
    assert refused is not None and refused.exit_code == 7
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_anything_but_files_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("session/samples/odd")
    member.type, member.linkname = kind, "/etc/passwd"
    good = tarfile.TarInfo("session/runs.jsonl")
    refused = unpacked(archive_of((member, b""), (good, b"{}\n")), tmp_path)
    assert refused is not None and "odd" in str(refused)
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"], "all else is kept"


def test_truncated_archive_leaves_no_half_file(tmp_path: Path) -> None:
    whole = archive_of((tarfile.TarInfo("session/runs.jsonl"), b"x" * 100_000)).getvalue()
    with pytest.raises(HostError, match="cut off"):
        unpacked(io.BytesIO(whole[:50_000]), tmp_path)
    assert not (tmp_path / "runs.jsonl").exists()
    assert not list(tmp_path.glob(".*partial"))


def test_files_are_sent_as_the_images_user() -> None:
    files = [outgoing("odd size", b"y" * 700), outgoing("empty", b"")]
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
        assert (host_folder(session) / PLAN_INSIDE_NAME).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_session_folder_is_lent_to_the_container_and_given_back(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    (session / "samples").mkdir()
    (session / "runs.jsonl").touch()
    victim = tmp_path / "victim"
    victim.touch()
    os.chown(victim, 12345, 12345)
    exchange = BindExchange(plan(models={"m": model_file(tmp_path, 0o644)}), session, SOMEBODY)
    exchange.prepare()
    lent = (session, session / "samples", session / "runs.jsonl")
    assert {p.lstat().st_uid for p in lent} == {IMAGE_USER}
    (session / "link").symlink_to(victim)
    mark = session / "samples" / "mark"
    mark.touch()
    os.chown(mark, IMAGE_USER, IMAGE_USER)
    mark.chmod(0o4755)
    refused = exchange.collect("unused")
    assert refused is not None and "link: is a symbolic link" in str(refused)
    assert victim.stat().st_uid == 12345, "links are not followed"
    assert {p.lstat().st_uid for p in (*lent, mark)} == {tmp_path.stat().st_uid}
    assert stat.S_IMODE(mark.stat().st_mode) == 0o755


def test_plan_that_is_mounted_is_the_one_for_inside_and_lies_beside_the_folder(
    tmp_path: Path,
) -> None:
    given = plan(models={"m": model_file(tmp_path, 0o644)})
    session = tmp_path / "session"
    session.mkdir()
    owner = session.stat()
    BindExchange(given, session, User(uid=owner.st_uid, gid=owner.st_gid)).prepare()
    assert not any(session.iterdir())
    inside = read_plan(host_folder(session) / PLAN_INSIDE_NAME)
    assert inside.models["m"].path == "/models/m/m.gguf"
    assert inside.digest == given.digest
    path = host_folder(session) / PLAN_INSIDE_NAME
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH
