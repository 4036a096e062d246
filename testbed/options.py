"""What `up` was asked for, held against what is known of the cluster already."""

from dataclasses import dataclass
from pathlib import Path

from testbed import inventory, ports, providers, state
from testbed.errors import TestbedError
from testbed.nodes import layout, machine, network
from testbed.state import State


@dataclass(frozen=True)
class Options:
    """The arguments of one `up`, as far as they shape the control plane."""

    provider: str = "auto"
    inventory: Path | None = None  # None: the one of last time, or the default
    kubeconfig: Path | None = None
    fake_nodes: bool | None = None  # None: all but existing clusters get them
    apiserver_args: tuple[str, ...] = ()
    nodes: str | None = None  # real nodes, as in "fr:2,de:1,us:1"; None: those of last time
    plugin: str | None = None  # their network plugin; None: the one of last time, or calico


def reconcile(folder: Path, options: Options) -> State:
    """The state that the cluster in `folder` (locked) is to have; saved, programs built, ports chosen.

    Raises:
        TestbedError: the options cannot be met here, or contradict the cluster that is there.
    """
    known = state.load(folder)
    settled = _first(options) if known is None else _again(folder.name, known, options)
    # Also when the cluster is known: the cache may have been deleted since, or fake nodes be wanted only now.
    if not all(Path(path).exists() for path in settled.programs.values()) or _lacks_kwok(settled):
        plugin = settled.plugin if settled.nodes else None
        settled.programs = providers.programs(settled.provider, fake_nodes=settled.fake_nodes, plugin=plugin)
    if options.kubeconfig and settled.provider == "kubeconfig":
        # Each time: its credentials may have been renewed.
        providers.copy_kubeconfig(settled.programs["kubectl"], options.kubeconfig, folder / "kubeconfig")
    if options.inventory:
        inventory.load(options.inventory)  # a mistake in it is found before anything is started
        settled.inventory = str(options.inventory.absolute())
    names = providers.ports_needed(settled.provider, real_nodes=settled.nodes is not None)
    with state.port_choice() as (taken, slots):
        if not settled.ports:
            settled.ports = dict(zip(names, ports.choose(len(names), taken), strict=True))
        if settled.nodes and settled.slot is None:
            settled.slot = network.free_slot(slots)
        state.save(folder, settled)
    return settled


def _first(options: Options) -> State:
    provider = providers.choose(options.provider, options.kubeconfig)
    if options.apiserver_args and provider not in providers.LOCAL:
        raise TestbedError(f"provider {provider} starts no API server that would take --apiserver-arg")
    fake_nodes = provider != "kubeconfig" if options.fake_nodes is None else options.fake_nodes
    plugin = _real_nodes(provider, options)
    programs = providers.programs(provider, fake_nodes=fake_nodes, plugin=plugin)
    known = State(provider, programs, apiserver_args=list(options.apiserver_args), fake_nodes=fake_nodes)
    if plugin:
        known.nodes, known.plugin = options.nodes, plugin
    return known


def _real_nodes(provider: str, options: Options) -> str | None:
    """The network plugin of the real nodes, None where none are asked for; checked as far as it can be beforehand."""
    plugin = options.plugin or "calico"
    if plugin not in layout.PLUGINS:
        raise TestbedError(f"no network plugin {plugin!r}; there are {', '.join(layout.PLUGINS)}")
    if options.nodes is None:
        if options.plugin:
            raise TestbedError("a network plugin is of real nodes: say which with --nodes, for example fr:2,de:1,us:1")
        return None
    nodes = layout.parse(options.nodes)
    if provider not in providers.LOCAL:
        raise TestbedError(f"provider {provider} brings its own nodes; real nodes go with --provider binaries")
    if reason := machine.requirement() or machine.too_many(len(nodes)):
        raise TestbedError(reason)
    return plugin


def _again(name: str, known: State, options: Options) -> State:
    given = "kubeconfig" if options.kubeconfig and options.provider == "auto" else options.provider
    other_nodes = options.nodes not in (None, known.nodes) or options.plugin not in (None, known.plugin)
    if given not in ("auto", known.provider) or list(options.apiserver_args) != known.apiserver_args or other_nodes:
        arguments = f", API server arguments {' '.join(known.apiserver_args)}" if known.apiserver_args else ""
        nodes = f", real nodes {known.nodes} ({known.plugin})" if known.nodes else ""
        raise TestbedError(
            f"cluster {name!r} is there already with provider {known.provider}{nodes}{arguments}; "
            "run `down` first, or choose another --name"
        )
    known.fake_nodes = known.fake_nodes or bool(options.fake_nodes)
    return known


def _lacks_kwok(settled: State) -> bool:
    return settled.fake_nodes and "kwok" not in settled.programs
