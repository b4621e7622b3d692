"""Writes a made-up log of a service to the standard output: make_log.py MEGABYTES [SEED]. The same numbers give the same bytes."""

import datetime
import random
import sys

LEVELS = ["INFO"] * 12 + ["WARN"] * 2 + ["ERROR"]
PARTS = ["gateway", "billing", "search", "mailer", "scheduler", "storage", "auth", "exports"]
WORDS = ("request accepted from client finished after waiting for the lock of account order invoice shard replica retried "
         "because connection was reset by peer cache miss reading block written to disk queue length exceeds limit certificate "
         "renewed session expired user unknown password changed backup started compaction done snapshot restored index rebuilt").split()


def line(random_, at):
    words = " ".join(random_.choices(WORDS, k=random_.randint(5, 22)))
    return (f"{at.isoformat(timespec='milliseconds')}Z {random_.choice(LEVELS)} {random_.choice(PARTS)}[{random_.randint(200, 32000)}] "
            f"{words} id={random_.getrandbits(48):012x} took={random_.randint(0, 4000)}ms\n")


def main():
    size, seed = float(sys.argv[1]) * 1e6, int(sys.argv[2]) if len(sys.argv) > 2 else 1
    random_, at, written = random.Random(seed), datetime.datetime(2026, 3, 1), 0
    while written < size:
        at += datetime.timedelta(milliseconds=random_.randint(1, 900))
        written += sys.stdout.write(line(random_, at))


if __name__ == "__main__":
    main()
