// SPDX-License-Identifier: GPL-2.0

//! Operations on two owners that share nothing: both CPUs write no common word.

use crate::{
    explore::Explore,
    mock::{
        Fixture,
        Mock,
        PLACES,
        ROOM, //
    },
    storage::owner::Owner, //
};
use std::sync::Arc;

/// Two owners have an element in one map, in different buckets. Returns the number of words that
/// both CPUs write when each ends one of the two by `end`.
fn written_by_both(f: &Arc<Fixture>, end: fn(&Fixture, &'static Mock)) -> usize {
    let [one, two] = PLACES.map(|place| Mock::new(place, 1, Some(ROOM)));
    assert!(!f.0.raw().share_bucket(one.id(), two.id()));
    for owner in [one, two] {
        assert!(f.create(owner, 1).is_ok());
        owner.leave();
    }
    let words = machine::written_by_many(|| {
        let theirs = f.clone();
        let thread = machine::spawn(move || end(&theirs, two));
        end(f, one);
        thread.join();
    });
    assert!(f.elements() == 0);
    words
}

#[test]
fn deaths_write_nothing_in_common() {
    Explore::new("two deaths").once(|| {
        let f = Arc::new(Fixture::new());
        let words = written_by_both(&f, |_, owner| assert!(owner.notice()));
        assert!(words == 0, "both CPUs write {words} words");
    });
}

#[test]
fn deletes_write_nothing_in_common() {
    Explore::new("two deletes").once(|| {
        let f = Arc::new(Fixture::new());
        let words = written_by_both(&f, |f, owner| assert!(f.delete(owner).is_ok()));
        assert!(words == 0, "both CPUs write {words} words");
    });
}
