"""Workers and beat, as they are called, with a real RabbitMQ and a sandbox cloud."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
import requests
from celery import Celery
from kombu import Connection
from kombu.exceptions import OperationalError

from rax_scheduled_images_ext.model.image import SERVER_KEY, SLOT_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    Window,
    next_slot,
    slots_around,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, ServerQuery
from rax_scheduled_images_ext.service import queues

from .. import rehearsed, waiting
from ..functional.fleet import MYSERVER
from ..functional.raw import START
from ..functional.runners import advance_to_slot, made, slots
from ..metrics_table import NOBODYS, WORKER, documented, exported
from .broker import Broker, free_ports
from .cluster import PROGRAM, Cluster
from .rehearsal import REGION, Rehearsal
from .test_chaos import is_running

EVERY = ("--every", "1s")
# Seconds that anything may take on a busy machine.
_LONG = 120.0


@pytest.fixture
def cloud() -> Iterator[Sandbox]:
    with Sandbox(speed=0, start=START, extension=False, servers=20) as sandbox:
        yield sandbox


@pytest.fixture
def rehearsal(cloud: Sandbox, broker: Broker) -> Rehearsal:
    """The cloud, and the broker without a message of an earlier test."""
    with Connection(broker.url) as connection, connection.channel() as channel:
        for queue in [
            *queues.consumed(REGION),
            queues.note(queues.scanning(REGION)),
            queues.dead(),
        ]:
            queue(channel).declare()
            queue(channel).purge()
    return Rehearsal(cloud, broker)


@pytest.fixture
def environ(rehearsal: Rehearsal) -> dict[str, str]:
    return {
        **rehearsal.sandbox.environ(),
        "CELERY_BROKER_URL": rehearsal.broker.url,
        "PYTHONWARNINGS": "ignore",
    }


until = partial(waiting.until, seconds=_LONG)


def test_two_days(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    cloud = rehearsal.sandbox
    rehearsal.schedule({MYSERVER: ImageSchedule(1)})
    with Cluster(tmp_path, environ, (*EVERY, "--log-format", "json")) as cluster:
        assert rehearsal.wait_for_scan(_LONG)
        advance_to_slot(cloud)
        until(lambda: len(made(cloud)) == 1)
        second = advance_to_slot(cloud)
        until(lambda: len(made(cloud)) == 2)
        cloud.advance("5m")
        until(lambda: slots(cloud) == [second] and len(made(cloud)) == 1)
        assert rehearsal.wait_for_scan(_LONG)
    lines = [line for line in cluster.log("worker0").splitlines() if line[:1] == "{"]
    events = [json.loads(line) for line in lines]
    assert [each["event"] for each in events if each.get("slot") == second] == [
        "image started",
        "retention applied",
    ]
    assert "image deleted" in [each["event"] for each in events]
    assert "Traceback" not in cluster.logs()


def test_days_that_pass_faster(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    """As the rehearsals on a real cloud have it: in a worker's own processes, too."""
    rehearsal.schedule({MYSERVER: ImageSchedule(1)})
    now = datetime.now(timezone.utc)
    slot = next_slot(MYSERVER, ImageSchedule(1), now, Window())
    # At a speed of 360 the image has been due for half an hour now.
    since = now - (slot.due + timedelta(minutes=30) - now) / 359
    clock = ("--since", since.isoformat(timespec="seconds"), "--speed", "360")
    program = (*rehearsed.PROGRAM, *clock)
    with Cluster(tmp_path, environ, EVERY, program=program) as cluster:
        (image,) = until(lambda: made(rehearsal.sandbox))
    assert image.properties[SLOT_KEY] == slot.name
    assert "Traceback" not in cluster.logs()


def test_beat_sends_the_policies_to_the_workers(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    """Only its machine needs the file, which may change at any time."""
    cloud = rehearsal.sandbox
    file = tmp_path / "policies.yaml"
    text = (
        "version: {}\n"
        "policies: [{{name: all, schedule: {{every: daily, keep: {{last: {}}}}}}}]\n"
    )

    def covered(number: int) -> bool:
        with cloud.region() as region:
            servers = region.servers.select(ServerQuery())
        wanted = f"scheduled-images:daily:{number}"
        return all(wanted in each.tags and len(each.tags) == 3 for each in servers)

    file.write_text(text.format(1, 7))
    with Cluster(tmp_path, environ, (*EVERY, "--policies", str(file))) as cluster:
        until(lambda: covered(7))
        file.write_text("version: [")
        until(lambda: "policies not obeyed" in cluster.log("beat0"))
        # What it said before counts.
        new = cloud.boot("new")
        until(lambda: covered(7))
        file.write_text(text.format(2, 5))
        until(lambda: covered(5))
        assert rehearsal.wait_for_scan(_LONG)
    assert new.id
    assert "schedule given" in cluster.log("worker0")
    assert "Traceback" not in cluster.logs()
    assert cluster.log("beat0").count("policies not obeyed") == 1


def test_celerys_own_commands(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    rehearsal.schedule({MYSERVER: ImageSchedule(1)})
    advance_to_slot(rehearsal.sandbox)
    app = "rax_scheduled_images_ext.service.workers"
    environ["SCHEDULED_IMAGES_OPTIONS"] = "--every 1s --limit-project 2"
    # What Celery runs itself: a worker with a beat inside.
    argv = ["celery", "-A", app, "worker", "--beat", "--pool", "threads", "-c", "2"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [str(PROGRAM.with_name(argv[0])), *argv[1:]],
            env=environ,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: made(rehearsal.sandbox))
    finally:
        process.terminate()
        process.wait(60)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_the_limits_hold_for_all_workers_together(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    cloud = rehearsal.sandbox
    rehearsal.schedule_all()
    cloud.advance("23h")
    limits = ("--max-delay", "24h", "--limit-region", "5", "--limit-project", "3")
    with Cluster(tmp_path, environ, (*EVERY, *limits), workers=2, children=4):
        for _ in range(3):
            assert rehearsal.wait_for_scan(_LONG, scans=2)
            assert len([i for i in cloud.images() if is_running(i)]) == 3
            cloud.advance("5m")
    assert len(made(cloud)) == 9


def test_images_that_cannot_be_made_keep_no_others_back(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    cloud = rehearsal.sandbox
    ids = rehearsal.schedule_all()
    cloud.advance("23h")
    ids.sort(key=partial(due, now=rehearsal.now()))
    # More than a scan ever sends for, and all of them due before the others.
    refused, others = ids[:12], ids[12:]
    cloud.fault(f"POST /servers/({'|'.join(refused)})/action 403")
    limits = ("--max-delay", "24h", "--limit-region", "2", "--limit-project", "2")
    with Cluster(tmp_path, environ, (*EVERY, *limits), children=4):
        while len(found := made(cloud)) < len(others):
            until(partial(is_more_made, cloud, found))
            cloud.advance("5m")
    found = made(cloud)
    assert sorted(image.properties[SERVER_KEY] for image in found) == sorted(others)


def due(server_id: str, now: datetime) -> datetime:
    """When the latest image of a server was due."""
    return slots_around(server_id, ImageSchedule(1), now, Window())[0].due


def is_more_made(cloud: Sandbox, before: list[Image]) -> bool:
    """Whether more images were made than before."""
    return len(made(cloud)) > len(before)


def test_a_lost_cloud_leaves_the_queue_short(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    cloud = rehearsal.sandbox
    rehearsal.schedule_all()
    with Cluster(tmp_path, environ, EVERY, beats=2) as cluster:
        assert rehearsal.wait_for_scan(_LONG, scans=2)
        before = len(made(cloud))
        cloud.fault("/servers 503")
        cloud.advance("23h")
        seen, longest = cluster.log("worker0").count("scan failed"), 0
        while cluster.log("worker0").count("scan failed") < seen + 8:
            longest = max(longest, rehearsal.waiting() or 0)
            time.sleep(0.1)
        # What the scan before had sent, and who wants a scan.
        assert longest <= 2 * 20 + 2
        # Where only the images cannot be made, a scan goes on as far as places allow.
        cloud.clear_faults()
        cloud.fault("POST /images 500")
        until(lambda: cluster.log("worker0").count(" ERROR failed ") > 20)
        for _ in range(30):
            longest = max(longest, rehearsal.waiting() or 0)
            time.sleep(0.1)
        assert longest <= 2 * 20 + 2
        assert len(made(cloud)) == before
        cloud.clear_faults()
        # As many as the limit of the project allows.
        until(lambda: len(made(cloud)) == before + 5)
    assert "Traceback" not in cluster.logs()


def test_without_workers_scans_do_not_pile_up(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    rehearsal.schedule({MYSERVER: ImageSchedule(1)})
    cluster = Cluster(tmp_path, environ, EVERY, workers=0, beats=2)
    with cluster:
        until(lambda: lengths(rehearsal)[queues.wanted(REGION)])
        # For some more scans that both of them want. One that expires may leave none
        # for a moment.
        for _ in range(20):
            assert lengths(rehearsal)[queues.wanted(REGION)] <= 1
            time.sleep(0.2)
        until(lambda: lengths(rehearsal)[queues.wanted(REGION)] == 1)
        assert lengths(rehearsal)[queues.work(REGION)] == 0


def lengths(rehearsal: Rehearsal) -> dict[str, int]:
    return queues.lengths(rehearsal.broker.url, [REGION])


def test_a_broker_that_falls_silent_is_not_waited_for(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is forwarded but the broker's last answers."""
    monkeypatch.setattr(queues, "_ANSWER", 1)
    listening = socket.create_server(("127.0.0.1", 0))

    def forward(source: socket.socket, target: socket.socket, chunks: int) -> None:
        with suppress(OSError), source:
            while content := source.recv(65536):
                # The start, what is tuned, and that the virtual host is open.
                if chunks > 0:
                    target.sendall(content)
                chunks -= 1
            # So that the other direction ends as well.
            target.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", broker.port))
                for ends in ((client, server, 10**6), (server, client, 3)):
                    threading.Thread(target=forward, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    url = broker.url.replace(str(broker.port), str(listening.getsockname()[1]))
    with pytest.raises(OperationalError, match="no response within 1 s"):
        queues.lengths(url, [REGION])
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def test_a_scan_in_progress_is_not_started_again(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    rehearsal.schedule({MYSERVER: ImageSchedule(1)})
    advance_to_slot(rehearsal.sandbox)
    with Connection(rehearsal.broker.url) as connection:
        note = queues.note(queues.scanning(REGION))
        connection.Producer().publish(
            {}, exchange=note.exchange, routing_key=note.routing_key, declare=[note]
        )
    with Cluster(tmp_path, environ, (*EVERY, "-v")) as cluster:
        until(lambda: cluster.log("worker0").count("scan skipped") >= 3)
        assert rehearsal.scans == 0
        with Connection(rehearsal.broker.url) as connection:
            connection.default_channel.queue_purge(queues.scanning(REGION))
        until(lambda: made(rehearsal.sandbox))


def test_a_lost_broker_is_waited_for(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    cloud = rehearsal.sandbox
    rehearsal.schedule({MYSERVER: ImageSchedule(1)})
    # A queue that was made less than half a second before would be lost for good.
    time.sleep(2)
    rehearsal.broker.kill()
    with Cluster(tmp_path, environ, EVERY) as cluster:
        until(
            lambda: (
                "ECONNREFUSED" in cluster.log("worker0").upper()
                or ("Connection refused" in cluster.log("worker0"))
            )
        )
        rehearsal.broker.start()
        assert rehearsal.wait_for_scan(_LONG)
        rehearsal.broker.kill()
        advance_to_slot(cloud)
        time.sleep(1)
        rehearsal.broker.start()
        until(lambda: made(cloud))
        assert all(map(cluster.runs, cluster.names))


def test_a_message_that_kills_its_workers_is_put_aside(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    cloud = rehearsal.sandbox
    rehearsal.schedule({MYSERVER: ImageSchedule(1)})
    assert status(environ) == (0, "")
    # Every request that a look begins with hangs, until its process is killed.
    cloud.fault(f"GET /servers/{MYSERVER}$ delay 1h")
    advance_to_slot(cloud)
    chance = random.Random(1)
    options = ("--every", "1h")
    with Cluster(tmp_path, environ, options, beats=0, children=1) as cluster:
        app = Celery(set_as_current=False, broker=rehearsal.broker.url)
        queue = queues.consumed(REGION)[0]
        project = cloud.servers()[0].project_id
        args = [REGION, project, MYSERVER, "2026-01-05", time.time()]
        app.send_task("scheduled_images.look", args, queue=queue)
        for _ in range(queues.DELIVERIES + 1):
            asked = asks(cloud)
            until(partial(is_more, cloud, asked))
            until(lambda: cluster.kill_child("worker0", chance))
        until(lambda: lengths(rehearsal)[queues.DEAD] == 1)
    code, err = status(environ)
    assert (code, err) == (
        3,
        "scheduled-images-service: warning: 1 message that no worker could handle: see"
        " the queue scheduled-images.dead\n",
    )


def is_more(cloud: Sandbox, asked: int) -> bool:
    """Whether another look at the server has started."""
    return asks(cloud) > asked


def asks(cloud: Sandbox) -> int:
    """How often a look at the server has started."""
    return sum(number for _, number in cloud.faults())


def status(environ: dict[str, str]) -> tuple[int, str]:
    """The exit status and the errors of the command ``status``."""
    done = subprocess.run(
        [str(PROGRAM), "status", "--format", "value"],
        env=environ,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def test_metrics_of_all_processes(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    rehearsal.schedule({MYSERVER: ImageSchedule(1)})
    (port,) = free_ports(1)
    (policies := tmp_path / "policies.yaml").write_text(NOBODYS)
    options = (
        *(*EVERY, "--metrics-port", str(port), "--verify-every", "90d"),
        *("--policies", str(policies)),
    )
    (shared := tmp_path / "shared").mkdir()
    environ = {**environ, "TMPDIR": str(shared)}
    with Cluster(tmp_path, environ, options, children=3) as cluster:
        assert rehearsal.wait_for_scan(_LONG)
        assert list(shared.glob("*/*.db"))
        advance_to_slot(rehearsal.sandbox)
        begun = 'steps_total{region="RegionOne",result="image started"} 1.0'
        until(lambda: begun in metrics(port))
        cluster.kill_child("worker0", random.Random(1))
        assert rehearsal.wait_for_scan(_LONG, scans=3)
        text = metrics(port)
    assert not list(shared.iterdir())
    found = dict(re.findall(r"^(\S.*) (\S+)$", text, re.MULTILINE))
    of = f'region="{REGION}"'
    expected = {
        f'scheduled_images_steps_total{{{of},result="image started"}}': 1,
        f"scheduled_images_servers{{{of}}}": 1,
        f"scheduled_images_due{{{of}}}": 0,
        f"scheduled_images_under_way{{{of}}}": 1,
        f'scheduled_images_queue_messages{{queue="{queues.work(REGION)}"}}': 0,
        f'scheduled_images_queue_messages{{queue="{queues.DEAD}"}}': 0,
    }
    assert {key: float(found[key]) for key in expected} == expected
    assert float(found[f"scheduled_images_wait_seconds_count{{{of}}}"]) >= 1
    assert float(found[f'scheduled_images_looks_total{{outcome="done",{of}}}']) >= 3
    assert exported(text) == documented(WORKER)
    # A counter begins at 0, so that its first increase is seen.
    assert float(found[f'scheduled_images_failures_total{{{of},result="failed"}}']) == 0
    assert float(found[f'scheduled_images_proofs_total{{finding="failed",{of}}}']) == 0


def metrics(port: int) -> str:
    """What a worker serves for Prometheus."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://127.0.0.1:{port}/metrics").text


def test_flower_sees_the_workers(
    rehearsal: Rehearsal, environ: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("flower")
    (port,) = free_ports(1)
    app = "rax_scheduled_images_ext.service.workers"
    argv = [
        "-m",
        "celery",
        "-A",
        app,
        "flower",
        f"--port={port}",
        "--address=127.0.0.1",
    ]
    flower = {**environ, "FLOWER_UNAUTHENTICATED_API": "true"}
    with (
        Cluster(tmp_path, environ, EVERY, workers=2) as cluster,
        (tmp_path / "flower.log").open("w") as log,
    ):
        assert rehearsal.wait_for_scan(_LONG)
        process = subprocess.Popen(
            [sys.executable, *argv], env=flower, cwd=tmp_path, stdout=log, stderr=log
        )
        try:
            with requests.Session() as session:
                session.trust_env = False

                def workers() -> bool:
                    try:
                        url = f"http://127.0.0.1:{port}/api/workers?refresh=1"
                        found = session.get(url, timeout=60).json()
                    except (requests.RequestException, ValueError):
                        return False
                    names = {name.split("@")[0] for name in found}
                    return names == {"worker0", "worker1"}

                until(workers)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        assert all(map(cluster.runs, cluster.names))


# -- bad input


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ("worker --every 0s", "'0s' is too short: it must be more than 0"),
        ("worker", "CELERY_BROKER_URL is not set: it is RabbitMQ's address, such as"),
    ],
)
def test_bad_input(argv: str, problem: str) -> None:
    environ = {key: value for key, value in os.environ.items() if "CELERY" not in key}
    done = subprocess.run(
        [str(PROGRAM), *argv.split()], env=environ, capture_output=True, text=True
    )
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.startswith("scheduled-images-service")
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
