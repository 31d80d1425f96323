"""Functions for workers that hang, crash or eat memory, and verifiers for a user's `python:` spec."""

import ctypes
import os
import sys
import time


def load(*arguments):
    def run(payload):
        if payload == "hang":
            time.sleep(1000)
        if payload == "spin":
            while True:
                pass
        if payload == "exit":
            os._exit(0)
        if payload == "system exit":
            sys.exit(3)
        if payload == "segfault":
            ctypes.string_at(0)
        if payload == "bomb":
            kept = []
            while True:
                kept.append(bytearray(10**7))
        if payload == "leak":
            KEPT.append(bytearray(10**8))
        if payload == "raise":
            raise ValueError("no\nsuch thing")
        if payload == "print":
            print("noise " * 1000, flush=True)
            os.write(1, b"\0\0\0\5junk!")
        if payload == "close":
            os.closerange(0, 20)
        if payload == "object":
            return object()
        if payload == "huge":
            return "x" * 2**25
        if payload == "orphan":
            return os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
        return [payload, os.getpid(), *arguments]

    return run


KEPT = []


def load_nothing():
    raise RuntimeError("not today")


def load_modules():
    return lambda payload: sorted(set(payload) & set(sys.modules))


def check(completion, problem):
    if completion == "hang":
        time.sleep(1000)
    if completion == "exit":
        os._exit(1)
    if completion == "odd":
        return "perhaps"
    return completion.strip() in problem.answers


def check_in_words(completion, problem):
    from passatn.verify.verdict import Outcome, Verdict

    return "timeout" if completion == "late" else Verdict(Outcome.INCORRECT, completion, "why not")
