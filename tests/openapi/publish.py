"""A backend in Python: publishes by the client that openapi-python-client makes of Herald's own document."""

import io
import os

from herald_client import AuthenticatedClient
from herald_client.api.publish import (
    post_broadcast,
    post_broadcast_by_query,
    post_notifications,
    post_user,
)
from herald_client.models import Accepted, BroadcastNotification, Problem, UserNotification, UsersNotification
from herald_client.types import File

client = AuthenticatedClient(base_url=os.environ["HERALD_URL"], token=os.environ["HERALD_KEY"])
broadcast = BroadcastNotification(destination="/queue/orders", payload={"order": 7}, ttl_ms=60_000)
to_user = UserNotification(destination="/queue/orders", user="id:anna/b", payload="only for you")
to_users = UsersNotification(destination="/queue/orders", users=["anna", "ben"], payload=[1, 2])


def raw(body: bytes) -> File:
    return File(payload=io.BytesIO(body))


# One; its repeat is known by the key.
for duplicate in (None, True):
    answer = post_notifications.sync(client=client, body=broadcast, idempotency_key="order-8-paid")
    assert isinstance(answer, Accepted), answer
    assert (answer.duplicate or None) is duplicate, answer

# Several.
answers = post_notifications.sync_detailed(client=client, body=[broadcast, to_user, to_users])
assert answers.status_code == 202, answers
assert isinstance(answers.parsed, list) and len(answers.parsed) == 3, answers

# Raw bodies.
went = post_broadcast.sync(client=client, destination="/topic/news", body=raw(b"hello"))
assert isinstance(went, Accepted), went
went = post_user.sync(
    client=client, user="id:anna/b", destination="queue/pictures", body=raw(b"\x00\xff"), herald_id="picture-2"
)
assert isinstance(went, Accepted) and went.id == "picture-2", went
went = post_broadcast_by_query.sync(client=client, destination="/topic/news", body=raw(b"hello"))
assert isinstance(went, Accepted), went

# A refusal is a problem with its type.
refused = post_notifications.sync(client=client, body=BroadcastNotification(destination="/nowhere", payload=1))
assert isinstance(refused, Problem), refused
assert refused.type_ == "urn:herald:problem:invalid-value" and refused.pointer == "/destination", refused

print("python: published")
