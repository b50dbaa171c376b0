# What the CloudEvents SDK of PyPI makes of a message in HTTP's terms, and how it writes the same event.
#
# Standard input: {"headers": {...}, "body": "..."}, or null for an event that the SDK makes itself.
# Standard output: {"attributes": {...}, "data": ..., "structured": message, "binary": message}.
import json
import sys
from datetime import datetime, timezone

from cloudevents.core.bindings.http import HTTPMessage, from_http, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent


def made():
    return CloudEvent(
        attributes={
            "id": "sdk-1",
            "source": "/python",
            "type": "order.placed",
            "specversion": "1.0",
            "subject": "order 7",
            "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
            "datacontenttype": "application/json",
            "partitionkey": "order-7",
        },
        data={"amount": "42.50", "note": "é € 😀"},
    )


def message(http):
    return {"headers": http.headers, "body": http.body.decode()}


asked = json.load(sys.stdin)
if asked is None:
    event = made()
else:
    event = from_http(HTTPMessage(asked["headers"], asked["body"].encode()), JSONFormat())
attributes = {
    name: value.isoformat() if isinstance(value, datetime) else value
    for name, value in event.get_attributes().items()
}
json.dump(
    {
        "attributes": attributes,
        "data": event.get_data(),
        "structured": message(to_structured(event, JSONFormat())),
        "binary": message(to_binary(event, JSONFormat())),
    },
    sys.stdout,
)
