"""Runs in .venv-oracles: what statsmodels says of the cases on standard input, as JSON."""

from __future__ import annotations

import json
import sys

from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportions_ztest,
)


def main() -> None:
    cases = json.load(sys.stdin)
    found = {
        "wilson": [
            list(proportion_confint(hits, n, alpha=1 - confidence, method="wilson"))
            for hits, n, confidence in cases["wilson"]
        ],
        "difference": [
            list(
                confint_proportions_2indep(
                    *pair, method="newcomb", compare="diff", alpha=0.05, correction=False
                )
            )
            for pair in cases["difference"]
        ],
        "p_larger": [
            proportions_ztest([one, other], [n, other_n], alternative="larger")[1]
            for one, n, other, other_n in cases["difference"]
        ],
        "benjamini_hochberg": [
            list(multipletests(p_values, method="fdr_bh")[1])
            for p_values in cases["benjamini_hochberg"]
        ],
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
