//! The order that a request makes, by all that its service demands.

use bytes::Bytes;
use serde_json::Value;

use super::Offer;
use super::sms::{measured, refuse_denied};
use crate::order::{Order, Unfit};

impl Offer {
    /// Judges what a request says, as every sale demands; see [`crate::order::Rules::check`].
    pub fn order(
        &self,
        content_type: Option<&[u8]>,
        query: Option<&str>,
        body: Bytes,
    ) -> Result<Order, Unfit> {
        self.judged(self.rules.check(content_type, query, body)?)
    }

    /// The order that asks for `wanted`, judged the same way; see
    /// [`crate::order::Rules::order_of`].
    pub fn order_of(&self, wanted: &Value) -> Result<Order, Unfit> {
        self.judged(self.rules.order_of(wanted)?)
    }

    fn judged(&self, order: Order) -> Result<Order, Unfit> {
        measured(self.sms.as_ref(), &order)?;
        refuse_denied(self, &order).map(|()| order)
    }
}
