#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""results.py LOG.json: counts the TAP lines in a log of "meson test" and prints what failing tests said, on stderr.
Its standard output is "PASSED FAILED SKIPPED"."""
import json
import re
import sys

LINES = 120  # of a failing test's output

passed = failed = skipped = 0
with open(sys.argv[1], encoding='utf-8', errors='replace') as log:
    for line in log:
        test = json.loads(line)
        out, err = test.get('stdout') or '', test.get('stderr') or ''
        results = re.findall(r'^(not ok|ok)\b([^#\n]*)(#\s*SKIP)?', out, re.M | re.I)
        bad = sum(r[0] == 'not ok' for r in results)
        skips = sum(r[0] == 'ok' and bool(r[2]) for r in results)
        good = len(results) - bad - skips
        if test['result'] == 'SKIP' and not results:
            skips = 1
        elif test['result'] in ('OK', 'EXPECTEDFAIL'):
            good = max(good, 0 if skips else 1)  # a benchmark prints no TAP
        elif test['result'] != 'SKIP':
            bad = max(bad, 1)  # crashed, timed out, or counted wrongly
        passed, failed, skipped = passed + good, failed + bad, skipped + skips
        if bad:
            text = [l for l in out.splitlines() if not re.match(r'ok\b', l)]
            text += [l for l in err.splitlines() if not re.match(r'--\d+-', l)]  # valgrind about itself
            print(f"---- {test['name']}: {test['result']}, exit status {test.get('returncode')}", file=sys.stderr)
            print('\n'.join(text[:LINES // 2] + ['...'] * (len(text) > LINES) + text[-(LINES // 2):]
                            if len(text) > LINES else text), file=sys.stderr)
print(passed, failed, skipped)
