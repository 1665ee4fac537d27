"""Where an endpoint is, what is mounted in its containers, and what it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.resolved import Bucket
from tests.checks.judging import VLLM, judged, said
from tests.render.apps import resolved

ADDRESS = "https://acme.r2.cloudflarestorage.com"

PRICE = {"endpoint/region-price": {"reason": "another rule's"}}

CASES: list[tuple[dict[str, Any], str]] = [
    ({"buckets": {"/data": {"bucket": "s3://acme-logs/a", "secret": "aws"}}}, ""),
    ({"buckets": {"/data": {"bucket": "gs://acme"}}}, ""),
    ({"buckets": {"/data": {"bucket": "r2://acme", "endpoint": ADDRESS}}}, ""),
    (
        {"buckets": {"/data": {"bucket": "r2://acme"}}},
        "buckets./data error mounts/endpoint: a bucket of R2 is found by its account's address, "
        "and none is given | endpoint: https://ACCOUNT.r2.cloudflarestorage.com",
    ),
    (
        {"buckets": {"/data": {"bucket": "azure://acme"}}},
        "buckets./data.bucket error mounts/bucket: azure:// is no bucket | s3://name, gs://name, "
        "or r2://name with its endpoint",
    ),
    (
        {"buckets": {"/data": {"bucket": "My_Bucket!"}}},
        "buckets./data.bucket error mounts/bucket: 'My_Bucket!' cannot be a bucket's name | "
        "lower-case letters, digits, dots and dashes; what is in it is prefix",
    ),
    (
        {"buckets": {"/data": {"bucket": "acme", "endpoint": "http://acme"}}},
        "buckets./data.endpoint error mounts/endpoint: 'http://acme' is no address of buckets | "
        "https:// and a host, such as https://ACCOUNT.r2.cloudflarestorage.com",
    ),
    (
        {"volumes": {"/data": {"name": "a"}}, "buckets": {"/data/": {"bucket": "acme"}}},
        "buckets./data/ error mounts/same-path: /data/ is where volumes mounts something already | "
        "a path of its own",
    ),
    (
        {"volumes": {"/root/": {"name": "a"}}},
        "volumes./root/ error mounts/taken: /root/ is a folder of Modal's own: nothing is mounted "
        "there | /root/data, or a path of its own",
    ),
    (
        {"volumes": {"/data//a": {"name": "a"}}},
        "volumes./data//a error mounts/path: /data//a is no mount path | such as /data",
    ),
    ({"volumes": {"/root/.cache/x": {"name": "a"}, "/..data/": {"name": "b"}}}, ""),
    (
        {"env": {"VLLM_CACHE_ROOT": "/root/.cache"}},
        "env.VLLM_CACHE_ROOT error env/name: VLLM_CACHE_ROOT says where modelctl's Volume is, so "
        "another value would be lost | leave it out",
    ),
    (
        {"volumes": {"/data": {"name": "we ird/na$me"}}},
        "volumes./data.name error mounts/object-name: 'we ird/na$me' cannot be the name of a "
        "Volume of Modal | 1 to 64 letters, digits, dots, dashes and underscores",
    ),
    (
        {"secrets": {"a b": []}},
        "secrets.a b error mounts/object-name: 'a b' cannot be the name of a Secret of Modal | "
        "1 to 64 letters, digits, dots, dashes and underscores",
    ),
    (
        {"secrets": {"good.name_1-A": ["1 X"]}},
        "secrets.good.name_1-A[0] error env/name: '1 X' cannot be a variable's name | letters, "
        "digits and underscores, the first no digit",
    ),
    (
        {"image": {"secret": ""}},
        "image.secret error mounts/object-name: '' cannot be the name of a Secret of Modal | "
        "1 to 64 letters, digits, dots, dashes and underscores",
    ),
    (
        {"checks": {"paris": {"expect": {"contains": "Paris"}}}},
        "checks.paris error checks/no-question: the check paris asks nothing | "
        "checks: {paris: {prompt: …}}, or messages",
    ),
    (
        {"checks": {"paris": {"messages": [], "expect": {"contains": "Paris"}}}},
        "checks.paris error checks/no-question: the check paris asks nothing | "
        "checks: {paris: {prompt: …}}, or messages",
    ),
    ({"checks": {"answers": {"prompt": "Where?"}}}, ""),
    (
        {"metrics": {"interval": "0s"}},
        "metrics.interval error metrics/interval: metrics every 0 seconds are none | "
        "metrics: {enabled: false} for no lines, or an interval such as 60s",
    ),
    ({"metrics": {"interval": "0s", "enabled": False}}, ""),
    (
        {"env": {"DB": "postgres://u:passw0rd@h/db"}},
        "env.DB error env/looks-like-a-secret: DB looks like a secret, and env is readable by "
        "everybody | modal secret create NAME DB=…, then secrets: {NAME: [DB]}",
    ),
    ({"env": {"A": "postgres://u@h:5432/db", "B": "http://h:80/a@b", "C": "redis://u:$PW@h"}}, ""),
    (
        {"checks": {"paris": {"prompt": "Where?", "expect": {"matches": "(unclosed"}}}},
        "checks.paris.expect.matches error checks/pattern: '(unclosed' is no regular expression: "
        "missing ), unterminated subpattern at position 0 | in Python's syntax; a text that must "
        "be in the answer as it stands is contains",
    ),
    (
        {"checks": {"paris": {"prompt": "Where?", "expect": {"matches": "a{99999999999}"}}}},
        "checks.paris.expect.matches error checks/pattern: 'a{99999999999}' is no regular "
        "expression: the repetition number is too large | in Python's syntax; a text that must be "
        "in the answer as it stands is contains",
    ),
    ({"checks": {"paris": {"prompt": "Where?", "expect": {"matches": "[[]?(?i:paris)"}}}}, ""),
    ({"checks": {"paris": {"prompt": "Where?", "expect": {"contains": "(unclosed"}}}}, ""),
    (
        {"endpoint": {"cloud": "azure"}},
        "endpoint.cloud warning endpoint/cloud: Modal names no cloud azure | one of aws, gcp, oci, "
        "auto",
    ),
    (
        {"endpoint": {"compute_regions": ["us-east", "US East"]}},
        "endpoint.compute_regions[1] error endpoint/region: 'US East' cannot be a region | such as "
        "us-east or eu",
    ),
    (
        {"gpu": [{"type": "H100"}, {"type": "L40S", "context": 4096}]},
        "gpu[1].context warning context/of-entry: a request may use 4,096 tokens on L40S and "
        "32,768 elsewhere, and no client knows which GPU answers | context: 4096 for all, or allow "
        "it with a reason",
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), CASES)
def test_sentences(fields: dict[str, Any], sentence: str) -> None:
    assert said(judged({**VLLM, "allow": PRICE, **fields})) == ([sentence] if sentence else [])


@pytest.mark.parametrize(
    ("said", "bucket"),
    [
        ({"bucket": "acme"}, Bucket("/b", "acme")),
        ({"bucket": "s3://acme/a/b", "prefix": "c"}, Bucket("/b", "acme", prefix="a/b/c/")),
        (
            {"bucket": "s3://acme", "prefix": "/c/", "secret": "aws", "read_only": True},
            Bucket("/b", "acme", read_only=True, prefix="c/", secret="aws"),
        ),
        ({"bucket": "gs://acme"}, Bucket("/b", "acme", endpoint="https://storage.googleapis.com")),
        ({"bucket": "r2://acme", "endpoint": ADDRESS}, Bucket("/b", "acme", endpoint=ADDRESS)),
    ],
)
def test_a_bucket_is_found_by_name_prefix_and_address(said: dict[str, Any], bucket: Bucket) -> None:
    assert resolved({**VLLM, "buckets": {"/b": said}}).buckets == (bucket,)
