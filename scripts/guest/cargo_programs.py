# SPDX-License-Identifier: GPL-2.0-only
"""Reads cargo's messages, and prints "PATH NAME" for each program: NAME is where it belongs beside the
others, PROGRAM, examples/EXAMPLE or tests/PACKAGE."""

import json
import os
import sys

for line in sys.stdin:
    message = json.loads(line)
    if message["reason"] != "compiler-artifact" or not message["executable"]:
        continue
    kind, name = message["target"]["kind"][0], message["target"]["name"]
    if kind == "test":
        name = "tests/" + os.path.basename(os.path.dirname(message["manifest_path"]))
    elif kind == "example":
        name = "examples/" + name
    print(message["executable"], name)
