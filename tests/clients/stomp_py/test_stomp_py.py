"""The promise: stomp.py, a client of another make than a browser's, does over WebSocket all it can do: receipts,
transactions, heart-beats of a second, binary and large bodies, frames in pieces, and coming back after a restart.
Runs the built program ($HERALD_BIN); needs stomp.py (scripts/tools stomp-py)."""

import os
import queue
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import stomp
import websocket

ROOT = os.path.dirname(os.path.abspath(__file__)) + "/../../.."
BINARY = os.environ.get("HERALD_BIN", os.path.join(ROOT, "target/debug/herald"))
SOON = 20
DESTINATION = "/queue/x"
# Anyone who is logged in may send there.
CONFIG = '[[permissions.send]]\ndestination = "/queue/x"\nroles = ["ROLE_USER"]\n'


class Herald:
    """One instance on a port of its own."""

    def __init__(self, **settings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = tempfile.TemporaryDirectory()
        self.config = os.path.join(self.folder.name, "herald.toml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(CONFIG)
        self.settings = {
            **os.environ,
            "HERALD_HTTP__LISTEN": f"127.0.0.1:{self.port}",
            "HERALD_DRAIN__BALANCER_WAIT": "0s",
            "HERALD_DRAIN__SPREAD": "100ms",
            **settings,
        }
        self.start()

    def start(self):
        command = [BINARY, "serve", "--demo", "--config", self.config]
        self.process = subprocess.Popen(
            command, env=self.settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + SOON
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None, "herald ended"
                assert time.monotonic() < deadline, "herald is not ready"
                time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SOON)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


class Listener(stomp.ConnectionListener):
    """What comes, in queues that can be waited on."""

    def __init__(self):
        self.connected, self.messages, self.receipts = queue.Queue(), queue.Queue(), queue.Queue()
        self.errors, self.ends, self.beats = queue.Queue(), queue.Queue(), queue.Queue()

    def on_connected(self, frame):
        self.connected.put(frame)

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_disconnected(self):
        self.ends.put(True)

    def on_heartbeat(self):
        self.beats.put(True)


class StompPy(unittest.TestCase):
    def herald(self, **settings):
        herald = Herald(**settings)
        self.addCleanup(herald.end)
        return herald

    def client(self, herald, heartbeats=(0, 0), **options):
        client = stomp.WSStompConnection(
            [("127.0.0.1", herald.port)], ws_path="/ws", heartbeats=heartbeats, **options
        )
        listener = Listener()
        client.set_listener("test", listener)
        self.log_in(client, listener)
        self.addCleanup(lambda: client.is_connected() and client.disconnect())
        return client, listener

    def log_in(self, client, listener):
        client.connect("test1", "test", wait=True)
        frame = listener.connected.get(timeout=SOON)
        self.assertEqual(frame.headers["version"], "1.2")
        self.assertEqual(frame.headers["user-name"], "test1")
        return frame

    def receipt(self, listener, expected):
        self.assertEqual(listener.receipts.get(timeout=SOON), expected)

    def subscribe(self, client, listener, **headers):
        client.subscribe(DESTINATION, "1", headers={"receipt": "subscribed"}, **headers)
        self.receipt(listener, "subscribed")

    def test_receipts_and_an_orderly_end(self):
        client, listener = self.client(self.herald())
        self.subscribe(client, listener, ack="client-individual")
        client.send(DESTINATION, "Grüße: a\\b", content_type="text/plain", headers={"receipt": "sent", "own": "a:b\\c"})
        self.receipt(listener, "sent")
        message = listener.messages.get(timeout=SOON)
        self.assertEqual((message.body, message.headers["own"]), ("Grüße: a\\b", "a:b\\c"))
        client.ack(message.headers["ack"], receipt="acknowledged")
        self.receipt(listener, "acknowledged")
        client.unsubscribe("1", headers={"receipt": "unsubscribed"})
        self.receipt(listener, "unsubscribed")
        client.disconnect(receipt="bye")
        self.receipt(listener, "bye")
        self.assertTrue(listener.ends.get(timeout=SOON))
        self.assertTrue(listener.errors.empty())

    def test_a_transaction_is_sent_at_its_commit_or_not_at_all(self):
        client, listener = self.client(self.herald())
        self.subscribe(client, listener)
        dropped, kept = client.begin(), client.begin()
        client.send(DESTINATION, "never", transaction=dropped)
        client.send(DESTINATION, "first", transaction=kept)
        client.send(DESTINATION, "second", transaction=kept)
        client.send(DESTINATION, "outside")
        client.abort(dropped)
        self.assertEqual(listener.messages.get(timeout=SOON).body, "outside")
        client.commit(kept)
        client.send(DESTINATION, "last")
        bodies = [listener.messages.get(timeout=SOON).body for _ in range(3)]
        self.assertEqual(bodies, ["first", "second", "last"])

    def test_heart_beats_of_a_second_keep_an_idle_connection(self):
        herald = self.herald(HERALD_HEARTBEAT__SEND="1s", HERALD_HEARTBEAT__RECEIVE="1s")
        client, listener = self.client(herald, heartbeats=(1000, 1000))
        for _ in range(5):
            listener.beats.get(timeout=SOON)
        self.assertTrue(client.is_connected())
        self.assertTrue(listener.errors.empty() and listener.ends.empty())
        self.subscribe(client, listener)

    def test_binary_bodies_of_the_largest_size_come_back_byte_for_byte(self):
        client, listener = self.client(self.herald(), auto_decode=False, binary_mode=True)
        self.subscribe(client, listener)
        for size in (512, 1000 * 1024):
            body = (bytes(range(256)) * (size // 256 + 1))[:size]
            client.send(DESTINATION, body, content_type="application/octet-stream")
            message = listener.messages.get(timeout=SOON)
            found = message.body if isinstance(message.body, bytes) else message.body.encode("latin-1")
            self.assertEqual(len(found), size)
            self.assertTrue(found == body, "other bytes")
            self.assertEqual(message.headers["content-type"], "application/octet-stream")
        self.assertTrue(listener.errors.empty())

    def test_a_text_of_the_largest_size_comes_back(self):
        client, listener = self.client(self.herald())
        self.subscribe(client, listener)
        body = "ä" * (500 * 1024)
        client.send(DESTINATION, body, content_type="text/plain")
        self.assertTrue(listener.messages.get(timeout=SOON).body == body, "another text")

    def test_a_frame_in_pieces_is_one_frame(self):
        client, listener = self.client(self.herald(), binary_mode=True)
        self.subscribe(client, listener)
        frame = f"SEND\ndestination:{DESTINATION}\n\nin pieces ä\0".encode()
        send = client.transport.socket.send
        # A WebSocket message for each piece, cut inside the letter of two bytes too.
        for at in range(0, len(frame), 3):
            send(frame[at : at + 3], websocket.ABNF.OPCODE_BINARY)
        self.assertEqual(listener.messages.get(timeout=SOON).body, "in pieces ä")
        # Two in one message.
        send(frame + b"\n" + frame, websocket.ABNF.OPCODE_BINARY)
        for _ in range(2):
            self.assertEqual(listener.messages.get(timeout=SOON).body, "in pieces ä")

    def test_it_comes_back_after_a_restart(self):
        herald = self.herald()
        client, listener = self.client(herald)
        self.subscribe(client, listener)
        self.assertEqual(herald.stop(), 0)
        self.assertTrue(listener.ends.get(timeout=SOON))
        herald.start()
        self.log_in(client, listener)
        self.subscribe(client, listener)
        client.send(DESTINATION, "again")
        self.assertEqual(listener.messages.get(timeout=SOON).body, "again")

    def test_a_wrong_password_is_refused(self):
        herald = self.herald()
        client = stomp.WSStompConnection([("127.0.0.1", herald.port)], ws_path="/ws")
        listener = Listener()
        client.set_listener("test", listener)
        with self.assertRaises(stomp.exception.ConnectFailedException):
            client.connect("test1", "wrong", wait=True)
        self.assertEqual(listener.errors.get(timeout=SOON).headers["message"], "authentication failed")


if __name__ == "__main__":
    unittest.main()
