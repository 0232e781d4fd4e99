// SPDX-License-Identifier: GPL-2.0

//! `#[pin_data]` for types that the model builds by value. Their fields do not depend on their
//! address before the first use.

use proc_macro::{
    Group,
    TokenStream,
    TokenTree, //
};

/// Removes `#[pin]` from the fields.
#[proc_macro_attribute]
pub fn pin_data(_attr: TokenStream, item: TokenStream) -> TokenStream {
    item.into_iter().map(strip).collect()
}

/// The item, with the attribute removed from what is in braces.
fn strip(tree: TokenTree) -> TokenTree {
    let TokenTree::Group(group) = tree else {
        return tree;
    };
    let mut fields: Vec<TokenTree> = Vec::new();
    for field in group.stream() {
        let pin = matches!(&field, TokenTree::Group(attr) if attr.stream().to_string() == "pin");
        if pin {
            fields.pop();
        } else {
            fields.push(field);
        }
    }
    TokenTree::Group(Group::new(group.delimiter(), fields.into_iter().collect()))
}
