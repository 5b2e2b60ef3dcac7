//! `kubectl slipway inventory`: what a Node is made of, from its `NodeInventory`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::anyhow;
use slipway_api::node_inventory::NodeInventorySpec;
use slipway_api::{Node, NodeInventory};

use super::paint::{BOLD, DIM};
use super::target::{KindName, Target};
use super::{View, finish, print};

const EXAMPLES: &str = "\
It is what the BMC told last; `kubectl get ninv` lists all. In JSON and YAML it is the NodeInventory's spec.

Exit code: 0 shown, 1 failed (there is none yet, or it may not be read), 2 wrong usage.

Examples:
  kubectl slipway inventory node/n20
  kubectl slipway inventory node/n20 -o json | jq -r '.nics[].mac'";

/// Show what a Node is made of: processors, memory, disks, interfaces, firmware.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The Node: node/NAME.
    #[arg(value_name = "node/NAME")]
    target: Target,

    #[command(flatten)]
    view: View,
}

pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(async {
        args.target.must_be(KindName::Node)?;
        let cluster = args.view.reach.cluster().await?;
        let read = cluster.api::<NodeInventory>().get_opt(&args.target.name).await;
        let found = cluster.call(&format!("read the inventory of {}", args.target), async { read }).await?;
        let Some(NodeInventory { spec: inventory, .. }) = found else {
            // Says so if there is no such Node.
            let node = cluster.get::<Node>(&args.target).await?;
            let why = if node.spec.bmc.is_none() && node.spec.design.design_ref.is_none() {
                "it has no BMC that could tell".into()
            } else {
                format!("its BMC has not told it yet; kubectl slipway why {} says why", args.target)
            };
            return Err(anyhow!("{} has no inventory: {why}", args.target));
        };
        print(&inventory, args.view.output, |out| text(out, &inventory))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn text(out: &mut dyn Write, inventory: &NodeInventorySpec) -> io::Result<()> {
    let NodeInventorySpec { vendor, model, serial, uuid, cpu_count, memory_mib, cpus, memory, disks, nics, firmware } =
        inventory;
    for (name, value) in [("Vendor", vendor), ("Model", model), ("Serial", serial), ("UUID", uuid)] {
        if let Some(value) = value {
            writeln!(out, "{BOLD}{name:<9}{BOLD:#} {value}")?;
        }
    }
    let counted =
        |what: &str, all: Option<String>| all.map_or(String::from(what), |all| format!("{what}  {DIM}{all}{DIM:#}"));
    section(out, &counted("CPUs", cpu_count.map(|count| count.to_string())), cpus, |cpu| {
        let threads = |number: Option<u32>, what: &str| number.map(|number| format!("{number} {what}"));
        vec![Some(cpu.name.clone()), cpu.model.clone(), threads(cpu.cores, "cores"), threads(cpu.threads, "threads")]
    })?;
    section(out, &counted("Memory", memory_mib.map(mebibytes)), memory, |module| {
        vec![Some(module.name.clone()), module.mib.map(mebibytes), module.type_.clone(), module.serial.clone()]
    })?;
    section(out, "Disks", disks, |disk| {
        vec![
            Some(disk.name.clone()),
            disk.bytes.map(bytes),
            disk.type_.clone(),
            disk.model.clone(),
            disk.serial.clone(),
        ]
    })?;
    section(out, "NICs", nics, |nic| {
        vec![Some(nic.name.clone()), nic.mac.clone(), nic.speed_mbps.map(|speed| format!("{speed} Mbit/s"))]
    })?;
    section(out, "Firmware", firmware, |part| vec![Some(part.name.clone()), Some(part.version.clone())])
}

/// One line a part, its columns side by side.
fn section<T>(
    out: &mut dyn Write,
    title: &str,
    parts: &[T],
    row: impl Fn(&T) -> Vec<Option<String>>,
) -> io::Result<()> {
    if parts.is_empty() && !title.contains(' ') {
        return Ok(());
    }
    writeln!(out, "{BOLD}{title}{BOLD:#}")?;
    let rows: Vec<Vec<String>> =
        parts.iter().map(|part| row(part).into_iter().map(Option::unwrap_or_default).collect()).collect();
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .filter(|(_, width)| **width > 0)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn mebibytes(mib: u64) -> String {
    if mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") }
}

/// As makers of disks count: powers of ten.
fn bytes(bytes: u64) -> String {
    match bytes {
        1_000_000_000_000.. => format!("{}.{} TB", bytes / 1_000_000_000_000, bytes / 100_000_000_000 % 10),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use slipway_api::node_inventory::{Disk, Nic};

    use super::*;

    #[test]
    fn parts_stand_side_by_side_and_empty_columns_are_left_out() {
        let disk = |name: &str, bytes| Disk { name: name.into(), bytes: Some(bytes), ..Disk::default() };
        let nic = Nic { name: "eth0".into(), mac: Some("52:54:00:00:00:01".into()), speed_mbps: Some(1000) };
        let inventory = NodeInventorySpec {
            vendor: Some("Acme".into()),
            memory_mib: Some(2048),
            disks: vec![disk("Disk 1", 960_000_000_000), disk("Disk 12", 1_920_000_000_000)],
            nics: vec![nic],
            ..NodeInventorySpec::default()
        };
        let mut out = Vec::new();
        text(&mut out, &inventory).unwrap();
        let plain = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        assert_eq!(
            plain,
            "Vendor    Acme\nMemory  2 GiB\nDisks\n  Disk 1   960 GB\n  Disk 12  1.9 TB\nNICs\n  eth0  52:54:00:00:00:01  1000 Mbit/s\n"
        );
    }
}
