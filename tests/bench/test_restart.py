"""What the benches about restarts and failovers read out of the audit log and the Lease."""

from bench.benches.failover import expiry
from bench.benches.restart import listed
from testbed.audit import Request


def request(verb: str, uri: str) -> Request:
    return Request("sovereign-operator/1", "operator", verb, "pods", "", "", 200, uri)


def test_each_collection_is_listed_once_however_it_was_cut_into_pages() -> None:
    found = listed(
        [
            request("list", "/api/v1/pods?limit=500"),
            request("list", "/api/v1/pods?limit=500&continue=token"),
            request("list", "/api/v1/pods?resourceVersion=0"),
            request("watch", "/api/v1/pods?watch=true"),
            request("get", "/api/v1/pods/a"),
            request("list", "/api/v1/services?labelSelector=a%3Db&limit=500"),
            request("list", "/api/v1/services?labelSelector=a%21%3Db&limit=500"),
        ]
    )
    assert found == [
        ("/api/v1/pods", ()),
        ("/api/v1/services", (("labelSelector", "a=b"),)),
        ("/api/v1/services", (("labelSelector", "a!=b"),)),
    ]


def test_a_lease_runs_out_when_it_was_not_renewed_for_as_long_as_it_lasts() -> None:
    lease = {"spec": {"renewTime": "1970-01-01T00:01:40.250000Z", "leaseDurationSeconds": 3}}
    assert expiry(lease) == 103.25
