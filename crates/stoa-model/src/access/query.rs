//! Rules put into every part of a query.

use super::guard::{Guard, Place};
use super::logic::{conjunction, constant, positive};
use super::reader::Reader;
use super::rules::Grant;
use super::variables::Fresh;
use crate::expression::Expression;
use crate::model::EntityId;
use crate::query::{Mask, OrderTerm, Query, ROW, Selection, Source};

const HERE: &[crate::model::NavigationId] = &[];

/// The row that a query is about.
pub(super) fn row(entity: EntityId) -> Place<'static> {
    Place {
        from: ROW,
        path: HERE,
        entity,
    }
}

impl Guard<'_> {
    pub(super) fn query(&self, query: &mut Query) {
        self.source(&mut query.source);
        self.filter(query.entity, &mut query.filter);
        self.order(query.entity, &mut query.order);
        self.selection(&mut query.selection);
    }

    /// Rows on the way must be visible, and each step from them. The rows that the source gives are judged
    /// by whoever asks for them.
    pub(super) fn source(&self, source: &mut Source) {
        match source {
            Source::All | Source::Key(_) => {}
            Source::Where { from, .. } => self.source(from),
            Source::Related {
                entity,
                from,
                navigation,
                ..
            } => {
                self.source(from);
                let entity = *entity;
                let grant = &self.of(entity).navigation(*navigation).read;
                if let Some(condition) = self.shown(entity, grant, row(entity), &mut Fresh::new()) {
                    let rows = std::mem::replace(&mut **from, Source::All);
                    **from = Source::Where {
                        entity,
                        from: Box::new(rows),
                        condition,
                    };
                }
            }
        }
    }

    fn filter(&self, entity: EntityId, filter: &mut Option<Expression>) {
        if let Some(visible) = self.filter_of_request(entity, filter) {
            *filter = Some(match filter.take() {
                Some(asked) => positive(conjunction(vec![visible, asked])),
                None => visible,
            });
        }
    }

    /// Makes the filter of a request one of what the reader sees; gives the condition under which the rows
    /// are there for the reader.
    fn filter_of_request(
        &self,
        entity: EntityId,
        filter: &mut Option<Expression>,
    ) -> Option<Expression> {
        let mut reader = Reader::new(*self, entity, filter.as_ref());
        if let Some(filter) = filter {
            reader.rewrite(filter);
        }
        let grant = &self.of(entity).visible;
        let visible = self.condition(entity, grant, row(entity), &mut reader.fresh);
        if visible.is_some()
            && let Some(filter) = filter
        {
            self.only_visible(entity, filter, &mut reader.fresh);
        }
        if reader.is_changed {
            *filter = filter.take().map(positive);
        }
        visible
    }

    /// What may fail is not even looked at for rows that are not visible.
    fn only_visible(&self, entity: EntityId, expression: &mut Expression, fresh: &mut Fresh) {
        if !expression.may_fail() {
            return;
        }
        let grant = &self.of(entity).visible;
        let Some(visible) = self.condition(entity, grant, row(entity), fresh) else {
            return;
        };
        // The rest may be found by an index.
        let (failing, mut kept) = match std::mem::replace(expression, constant(true)) {
            Expression::And(operands) => operands.into_iter().partition(Expression::may_fail),
            one => (vec![one], Vec::new()),
        };
        let then = match <[Expression; 1]>::try_from(failing) {
            Ok([one]) => one,
            Err(several) => Expression::And(several),
        };
        let guarded = Expression::If {
            condition: Box::new(visible),
            then: Box::new(then),
        };
        *expression = if kept.is_empty() {
            guarded
        } else {
            kept.push(guarded);
            Expression::And(kept)
        };
    }

    fn order(&self, entity: EntityId, order: &mut [OrderTerm]) {
        for term in order {
            let mut reader = Reader::new(*self, entity, Some(&term.expression));
            reader.rewrite(&mut term.expression);
            // To continue after a row, terms are part of the condition on rows.
            self.only_visible(entity, &mut term.expression, &mut reader.fresh);
        }
    }

    fn selection(&self, selection: &mut Selection) {
        let entity = selection.entity;
        let rules = self.of(entity);
        let own = selection.attributes.iter().map(|id| (entity, *id));
        let members = own.chain(selection.specialised.iter().copied());
        for (position, (declared_by, id)) in members.enumerate() {
            let grant = &self.of(declared_by).attribute(id).read;
            if let Some(condition) = self.mask(entity, declared_by, grant) {
                selection.masks.push(Mask {
                    position,
                    condition,
                });
            }
        }
        for expand in &mut selection.expands {
            let grant = &rules.navigation(expand.navigation).read;
            expand.condition = self.mask(entity, entity, grant);
            let target = expand.selection.entity;
            if rules.is_given(expand.navigation) {
                expand.given = self.filter_of_request(target, &mut expand.filter);
            } else {
                self.filter(target, &mut expand.filter);
            }
            self.order(target, &mut expand.order);
            self.selection(&mut expand.selection);
        }
    }

    fn mask(&self, rows: EntityId, entity: EntityId, grant: &Grant) -> Option<Expression> {
        if grant.is_never() {
            return Some(constant(false));
        }
        self.condition(entity, grant, row(rows), &mut Fresh::new())
    }
}
