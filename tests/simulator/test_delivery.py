"""The delivery host, and every way in which a download can fail."""

from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from simulator.config import SimulatorConfig
from tests.simulator.server import RunningSimulator, WebhookReceiver, running_simulator
from tests.waiting import PATIENCE

PNG = b"\x89PNG\r\n\x1a\n"


def output_of(simulator: RunningSimulator, suffix: str = "") -> str:
    url: str = simulator.run(f"simulator/image{suffix}")["output"][0]
    return url


def test_files_can_be_read_in_ranges(simulator: RunningSimulator) -> None:
    url = output_of(simulator)
    whole = simulator.http.get(url)
    size = len(whole.content)
    wanted = {"bytes=0-7": (0, 8), "bytes=10-": (10, size), "bytes=-5": (size - 5, size), f"bytes=9-{size}": (9, size)}

    parts = {header: simulator.http.get(url, headers={"Range": header}) for header in wanted}

    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    for header, (start, stop) in wanted.items():
        assert parts[header].status_code == 206
        assert parts[header].content == whole.content[start:stop]
        assert parts[header].headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    assert simulator.http.get(url, headers={"Range": f"bytes={size}-"}).status_code == 416
    assert simulator.http.get(url, headers={"Range": "lines=1-2"}).status_code == 200


def test_head_requests_for_files_work(simulator: RunningSimulator) -> None:
    response = simulator.http.head(output_of(simulator))

    assert response.status_code == 200
    assert int(response.headers["content-length"]) > 1000
    assert response.content == b""


def test_files_exist_shortly_before_the_status_says_so(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    simulator.create("simulator/image--slow-1000", webhook=receiver.url)
    simulator.skip(999)
    [webhook] = receiver.wait_for(1)

    assert webhook.document["status"] == "processing"
    assert simulator.http.get(webhook.document["output"][0]).status_code == 200


def test_paths_cannot_be_guessed(simulator: RunningSimulator) -> None:
    url = output_of(simulator)

    assert len(url.split("/")[-2]) == 32
    assert simulator.http.get(url.replace("/delivery/", "/delivery/x")).status_code == 404


def test_the_log_says_whether_a_token_was_sent(simulator: RunningSimulator) -> None:
    url = output_of(simulator)
    simulator.http.get(url)
    httpx.get(url, timeout=PATIENCE)

    assert [entry["authorization_seen"] for entry in simulator.log("delivery")] == [True, False]
    assert {entry["status"] for entry in simulator.log("delivery")} == {200}


@pytest.mark.parametrize(("suffix", "status"), [("404-2", 404), ("500-2", 500), ("redirect-elsewhere-2", 302)])
def test_deliveries_fail_for_a_while(simulator: RunningSimulator, suffix: str, status: int) -> None:
    url = output_of(simulator, f"--delivery-{suffix}")

    assert [simulator.http.get(url).status_code for _ in range(3)] == [status, status, 200]


def test_a_redirect_leads_to_the_file(simulator: RunningSimulator) -> None:
    url = output_of(simulator, "--delivery-redirect")

    redirect = simulator.http.get(url)
    followed = simulator.http.get(url, follow_redirects=True)

    assert redirect.status_code == 302
    assert followed.content.startswith(PNG)


def test_a_redirect_may_lead_to_another_host(simulator: RunningSimulator) -> None:
    response = simulator.http.get(output_of(simulator, "--delivery-redirect-elsewhere"))

    assert response.headers["location"] == "https://elsewhere.invalid/file"


def test_a_page_may_be_sent_instead_of_the_file(simulator: RunningSimulator) -> None:
    response = simulator.http.get(output_of(simulator, "--delivery-wrong-type"))

    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_a_connection_may_be_cut(simulator: RunningSimulator) -> None:
    url = output_of(simulator, "--delivery-truncated-1")

    with pytest.raises(httpx.RemoteProtocolError):
        simulator.http.get(url)
    assert simulator.http.get(url).content.startswith(PNG)


def test_a_connection_may_stall(simulator: RunningSimulator) -> None:
    url = output_of(simulator, "--delivery-stall")
    address = urlsplit(url)

    with closing(HTTPConnection(address.netloc, timeout=PATIENCE)) as connection:
        connection.request("GET", address.path)
        response = connection.getresponse()
        half = int(response.headers["content-length"]) // 2
        assert response.read(half).startswith(PNG)
        connection.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            response.read(1)


def test_bytes_may_arrive_slowly(simulator: RunningSimulator) -> None:
    url = output_of(simulator, "--delivery-slow-0.2")

    with simulator.http.stream("GET", url) as response:
        chunks = list(response.iter_raw())

    assert b"".join(chunks).startswith(PNG)
    assert len(chunks) > 5


def test_files_may_expire_early(simulator: RunningSimulator) -> None:
    lasting, gone = output_of(simulator, "--delivery-expired-3000"), output_of(simulator, "--delivery-expired")
    before = simulator.http.get(lasting).status_code
    simulator.skip(3000)

    assert (before, simulator.http.get(lasting).status_code) == (200, 404)
    assert simulator.http.get(gone).status_code == 404


def test_files_expire_with_the_retention_of_the_simulator() -> None:
    with running_simulator(SimulatorConfig(retention=300)) as short:
        url = output_of(short)
        before = short.http.get(url).status_code
        short.skip(300)
        after = short.http.get(url).status_code

    assert (before, after) == (200, 404)


def test_files_may_be_big(simulator: RunningSimulator) -> None:
    url = output_of(simulator, "--big-20")

    whole = simulator.http.get(url)
    part = simulator.http.get(url, headers={"Range": "bytes=12345678-12345777"})

    assert whole.content.startswith(PNG)
    assert len(whole.content) == int(whole.headers["content-length"]) == 20_000_000
    assert part.content == whole.content[12345678:12345778]


def test_ordered_faults_apply_to_the_files_of_a_model(simulator: RunningSimulator) -> None:
    url = output_of(simulator)
    simulator.order("delivery-500", times=1, model="simulator/image")

    assert [simulator.http.get(url).status_code for _ in range(2)] == [500, 200]


def test_public_urls_can_be_set() -> None:
    with running_simulator(SimulatorConfig(public_url="http://vendor.test/")) as public:
        prediction = public.run("simulator/image")

    assert prediction["output"][0].startswith("http://vendor.test/delivery/")
    assert prediction["urls"]["get"].startswith("http://vendor.test/replicate/v1/predictions/")


def test_a_prerendered_simulator_serves_one_file_per_format() -> None:
    with running_simulator(SimulatorConfig(is_prerendered=True)) as fast:
        urls = [fast.run("simulator/image", prompt=prompt)["output"][0] for prompt in ("a", "b")]
        contents = {fast.http.get(url).content for url in urls}

    assert len(contents) == 1
    assert contents.pop().startswith(PNG)
