//! How a budget of connections is divided among the processes that live.
//!
//! The leader decides, alone, so that no two grow into the same room. A process that must have fewer is told at
//! once; one that may have more is told when others have given them up, or have gone with their sessions ended.

use uuid::Uuid;

use crate::postgres::LEAST_SHARE;

/// A process, as its rows describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: Uuid,
    /// Connections that it may have.
    pub(super) share: usize,
    /// Connections that it has, or takes for itself.
    pub(super) used: usize,
    /// Its lease holds.
    pub(super) lives: bool,
}

/// The shares that change.
pub(super) fn divide(budget: usize, processes: &[Process]) -> Vec<(Uuid, usize)> {
    let living = processes.iter().filter(|process| process.lives).count();
    let target = (budget / living.max(1)).max(LEAST_SHARE);
    let mut shares: Vec<(Process, usize)> = processes
        .iter()
        .map(|process| {
            // Whoever is silent hears of nothing, and may have taken what it was granted last.
            let most = if process.lives { target } else { usize::MAX };
            (*process, process.share.min(most))
        })
        .collect();
    let mut taken: usize = shares
        .iter()
        .map(|(process, share)| process.used.max(*share))
        .sum();
    for (process, share) in &mut shares {
        if !process.lives || *share >= target {
            continue;
        }
        let reserved = process.used.max(*share);
        let room = reserved.saturating_sub(*share) + budget.saturating_sub(taken);
        let grown = (*share + room).min(target).max(LEAST_SHARE);
        taken += process.used.max(grown) - reserved;
        *share = grown;
    }
    shares
        .into_iter()
        .filter(|(process, share)| process.lives && *share != process.share)
        .map(|(process, share)| (process.id, share))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn process(id: u128, share: usize, used: usize) -> Process {
        Process {
            id: Uuid::from_u128(id),
            share,
            used,
            lives: true,
        }
    }

    #[test]
    fn one_has_all_and_several_have_the_same() {
        let alone = [process(1, LEAST_SHARE, LEAST_SHARE)];
        assert_eq!(divide(40, &alone), [(alone[0].id, 40)]);
        // The second one waits until the first has given up.
        let joined = [process(1, 40, 40), process(2, LEAST_SHARE, LEAST_SHARE)];
        assert_eq!(divide(40, &joined), [(joined[0].id, 20)]);
        let given = [process(1, 20, 20), process(2, LEAST_SHARE, LEAST_SHARE)];
        assert_eq!(divide(40, &given), [(given[1].id, 20)]);
        assert_eq!(divide(40, &[process(1, 20, 20), process(2, 20, 20)]), []);
        // Whoever is silent keeps its connections from others until its sessions have been ended.
        let silent = Process {
            lives: false,
            ..process(2, 20, 20)
        };
        assert_eq!(divide(40, &[process(1, 20, 20), silent]), []);
        assert_eq!(
            divide(40, &[process(1, 20, 20)]),
            [(Uuid::from_u128(1), 40)]
        );
        // Nobody has less than the least.
        let many: Vec<Process> = (0..20).map(|id| process(id, 0, 0)).collect();
        assert!(
            divide(40, &many)
                .iter()
                .all(|(_, share)| *share == LEAST_SHARE)
        );
    }

    fn adopt(processes: &mut [Process], shares: &[(Uuid, usize)]) {
        for process in processes.iter_mut() {
            let share = shares.iter().find(|(id, _)| *id == process.id);
            process.share = share.map_or(process.share, |(_, share)| *share);
        }
    }

    proptest! {
        /// Whatever joins, leaves, dies and adopts its share in whatever order: what all have together stays within
        /// the budget, but for the least of those who joined when there was no room, and in the end it is divided.
        #[test]
        fn the_sum_stays_within_the_budget(steps in prop::collection::vec((0_u8..6, 0_usize..8), 1..200)) {
            const BUDGET: usize = 40;
            let mut processes: Vec<Process> = Vec::new();
            let mut excess = 0;
            let sum = |processes: &[Process]| -> usize {
                processes.iter().map(|process| process.used.max(process.share)).sum()
            };
            for (number, (step, which)) in (0_u128..).zip(steps) {
                let is_full = processes.len() >= BUDGET / LEAST_SHARE;
                let chosen = which.checked_rem(processes.len()).unwrap_or(0);
                match (step, processes.get_mut(chosen)) {
                    (0, _) if !is_full => {
                        processes.push(process(number, LEAST_SHARE, LEAST_SHARE));
                        excess = excess.max(sum(&processes).saturating_sub(BUDGET));
                    }
                    (1, Some(chosen)) => chosen.lives = false,
                    (2, _) => processes.retain(|process| process.lives),
                    (3 | 4, Some(chosen)) if chosen.lives => chosen.used = chosen.share,
                    _ => {
                        let shares = divide(BUDGET, &processes);
                        adopt(&mut processes, &shares);
                    }
                }
                prop_assert!(sum(&processes) <= BUDGET + excess, "{processes:?}");
                if sum(&processes) <= BUDGET {
                    excess = 0;
                }
            }
            processes.retain(|process| process.lives);
            for _ in 0..3 {
                let shares = divide(BUDGET, &processes);
                adopt(&mut processes, &shares);
                for process in &mut processes {
                    process.used = process.share;
                }
            }
            let target = BUDGET / processes.len().max(1);
            prop_assert!(processes.iter().all(|process| process.share == target), "{processes:?}");
        }
    }
}
