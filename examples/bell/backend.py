"""The tutorial's backend: tells the user test1 of 60 orders, two a second. Needs Python 3 and nothing else.

HERALD_URL is where Herald is; HERALD_KEY an API key, which the demo does not ask for.
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

HERALD = os.environ.get("HERALD_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("HERALD_KEY")
ORDERS = 60
GIVE_UP_AFTER = 30  # seconds


def notify(user, destination, payload):
    """Publishes to all sessions of `user`, once, however often it has to be tried: each attempt has the same key."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    if KEY:
        headers["Authorization"] = f"Bearer {KEY}"
    body = json.dumps({"destination": destination, "user": user, "payload": payload}).encode()
    request = urllib.request.Request(f"{HERALD}/api/v1/notifications", body, headers)
    deadline = time.monotonic() + GIVE_UP_AFTER
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            # 4xx is our mistake and stays one; 429 asks for patience, 5xx is Herald's or the proxy's trouble.
            if error.code != 429 and error.code < 500 or time.monotonic() > deadline:
                raise
        except OSError:
            # No answer: it may have been published all the same, and the key sees to it that it is not published twice.
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


if __name__ == "__main__":
    for number in range(1, ORDERS + 1):
        notify("test1", "/queue/bell", {"number": number, "text": f"Order {number} has shipped"})
        print(f"Order {number} of {ORDERS}", flush=True)
        time.sleep(0.5)
