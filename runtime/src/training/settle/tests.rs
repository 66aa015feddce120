use proptest::prelude::*;

use super::*;

#[test]
fn shares_earn_the_price_when_the_pot_holds_it() {
    assert_eq!(share_pay(1_000, 10, 30, 100), 300);
    assert_eq!(share_pay(1_001, 10, 30, 100), 300);
}

#[test]
fn shares_earn_their_part_when_it_does_not() {
    assert_eq!(share_pay(999, 10, 30, 100), 299);
    assert_eq!(share_pay(999, Balance::MAX, 30, 100), 299);
    assert_eq!(share_pay(Balance::MAX, Balance::MAX, 1, 1), Balance::MAX);
    assert_eq!(share_pay(10, Balance::MAX, 0, 0), 0);
}

#[test]
fn a_quarter_of_the_pot_carries_over_and_the_rest_burns() {
    assert_eq!(Leftover::of(100, 90), Leftover { carried: 10, burned: 0 });
    assert_eq!(Leftover::of(100, 75), Leftover { carried: 25, burned: 0 });
    assert_eq!(Leftover::of(100, 40), Leftover { carried: 25, burned: 35 });
    assert_eq!(Leftover::of(0, 0), Leftover { carried: 0, burned: 0 });
}

#[test]
fn the_price_moves_by_a_quarter() {
    assert_eq!(smoothed(Balance::MAX, 40), 40);
    assert_eq!(smoothed(100, 40), 85);
    assert_eq!(smoothed(100, 140), 110);
}

proptest! {
    #[test]
    fn pay_never_exceeds_the_pot(
        pot: u128,
        price: u128,
        shares in proptest::collection::vec(0u64..1 << 20, 0..20),
    ) {
        let total: u64 = shares.iter().sum();
        let mut left = pot;
        for claim in &shares {
            let pay = share_pay(pot, price, *claim, total);
            prop_assert!(pay <= left);
            left -= pay;
        }
        let Leftover { carried, burned } = Leftover::of(pot, pot - left);
        prop_assert_eq!(carried + burned, left);
        prop_assert!(carried <= pot / 4);
    }
}
