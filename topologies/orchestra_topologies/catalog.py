"""The five topologies by name."""

from __future__ import annotations

from collections.abc import Callable

from orchestra_topologies import hierarchical, hybrid, parallel, sequential, single
from orchestra_topologies.progress import TopologyGraph
from orchestra_topologies.router import Topology

TOPOLOGIES: dict[Topology, Callable[[], TopologyGraph]] = {
    "single": single.build,
    "sequential": sequential.build,
    "parallel": parallel.build,
    "hierarchical": hierarchical.build,
    "hybrid": hybrid.build,
}
