//! A tree with one of its nodes replaced.

use promql_parser::parser::Expr;

/// What may stand in a node's place, and in a few words why it differs.
pub(super) type Replacements = fn(&Expr) -> Vec<(String, Expr)>;

/// Every tree that comes of replacing one node, outer nodes first, then from left to right.
pub(super) fn variants(expr: &Expr, of_node: Replacements) -> Vec<(String, Expr)> {
    let mut all = of_node(expr);
    let mut below = |child: &Expr, put: &dyn Fn(Expr) -> Expr| {
        all.extend(variants(child, of_node).into_iter().map(|(change, tree)| (change, put(tree))));
    };
    match expr {
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &aggregate.param {
                below(param, &|tree| {
                    Expr::Aggregate({
                        let mut changed = aggregate.clone();
                        changed.param = Some(Box::new(tree));
                        changed
                    })
                });
            }
            below(&aggregate.expr, &|tree| {
                Expr::Aggregate({
                    let mut changed = aggregate.clone();
                    changed.expr = Box::new(tree);
                    changed
                })
            });
        }
        Expr::Unary(unary) => below(&unary.expr, &|tree| {
            let mut changed = unary.clone();
            changed.expr = Box::new(tree);
            Expr::Unary(changed)
        }),
        Expr::Binary(binary) => {
            below(&binary.lhs, &|tree| {
                let mut changed = binary.clone();
                changed.lhs = Box::new(tree);
                Expr::Binary(changed)
            });
            below(&binary.rhs, &|tree| {
                let mut changed = binary.clone();
                changed.rhs = Box::new(tree);
                Expr::Binary(changed)
            });
        }
        Expr::Paren(paren) => below(&paren.expr, &|tree| {
            let mut changed = paren.clone();
            changed.expr = Box::new(tree);
            Expr::Paren(changed)
        }),
        Expr::Subquery(subquery) => below(&subquery.expr, &|tree| {
            let mut changed = subquery.clone();
            changed.expr = Box::new(tree);
            Expr::Subquery(changed)
        }),
        Expr::Call(call) => {
            for (at, argument) in call.args.args.iter().enumerate() {
                below(argument, &|tree| {
                    let mut changed = call.clone();
                    *changed.args.args[at] = tree;
                    Expr::Call(changed)
                });
            }
        }
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => {}
    }
    all
}
