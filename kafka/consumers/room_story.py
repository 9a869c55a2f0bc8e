#!/usr/bin/env python3
"""Prints what happened in a room, from the Kafka topic.

    room_story.py BROKERS TOPIC ROOM

Written from docs/kafka.md and the AsyncAPI description alone, with confluent-kafka (Debian: python3-confluent-kafka). It reads the
topic from its beginning to its present end, keeps the events of one room, and checks what the topic promises: within a room
the version rises by one.
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition


def records(brokers, topic):
    """Every committed record, from the beginning of each partition to its end of now."""
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "room-story",
        "enable.auto.commit": False,
        # Without it one sees records of transactions that were given up.
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    })
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    open_partitions = set(partitions)
    while open_partitions:
        message = consumer.poll(10)
        if message is None:
            raise SystemExit("the broker does not answer")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise SystemExit(message.error().str())
            open_partitions.discard(message.partition())
            continue
        yield message
    consumer.close()


def line(headers, data):
    """One event in a line."""
    when = headers["ce_time"][:19].replace("T", " ")
    who = headers["ce_actor"]
    what = headers["ce_type"].removeprefix("room.")
    about = ", ".join(f"{name} {json.dumps(value)}" for name, value in sorted(data.items()))
    return f"{headers['ce_roomversion']:>4}  {when}  {who:<20} {what:<24} {about}".rstrip()


def main():
    if len(sys.argv) != 4:
        raise SystemExit("usage: room_story.py BROKERS TOPIC ROOM")
    brokers, topic, room = sys.argv[1:]
    last = 0
    for message in records(brokers, topic):
        # The key is the room.
        if message.key() is None or message.key().decode() != room:
            continue
        headers = {name: value.decode() for name, value in message.headers()}
        version = int(headers["ce_roomversion"])
        if version != last + 1:
            raise SystemExit(f"version {version} follows {last}: the topic no longer has the beginning of this room")
        last = version
        print(line(headers, json.loads(message.value())))
    if last == 0:
        raise SystemExit(f"the topic has nothing of room {room}")


if __name__ == "__main__":
    main()
