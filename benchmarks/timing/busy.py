"""How much slower alphaDIA's FDR classifier is beside a busy process, with each wait policy of OpenMP.

python benchmarks/speed.py busy
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from timing.measure import Row, row

HERE = Path(__file__).parents[1]
SPIN = [sys.executable, "-c", "while True: pass"]
ROWS, FEATURES, EPOCHS = 20_000, 40, 2


def busy() -> Iterator[Row]:
    """Fit it alone and beside one busy process, with threads that wait passively and with those that spin."""
    alone = _seconds("passive")
    other = subprocess.Popen(SPIN)
    try:
        for policy in ("passive", "active"):
            note = "the second time is that alone and passive"
            stage = f"an epoch of the FDR classifier beside a busy process, {policy}"
            yield row(stage, ROWS, [_seconds(policy)], [alone], note)
    finally:
        other.kill()


def _seconds(policy: str) -> float:
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    command = [sys.executable, "-m", "timing.busy"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=HERE)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Fit once to warm up, and once to time."""
    import numpy as np
    from alphadia.fdr.classifiers import BinaryClassifierLegacyNewBatching

    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, ROWS)
    features = generator.normal(size=(ROWS, FEATURES)) + 0.3 * labels[:, None]
    for _ in range(2):
        classifier = BinaryClassifierLegacyNewBatching(
            FEATURES, epochs=EPOCHS, layers=[100, 50, 20, 5], batch_size=500, random_state=0
        )
        started = time.perf_counter()
        classifier.fit(features, labels)
    print((time.perf_counter() - started) / EPOCHS)


if __name__ == "__main__":
    main()
