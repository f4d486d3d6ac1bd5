// A backend in Java: publishes by the client that openapi-generator makes of Herald's own document.

import java.util.List;
import java.util.Objects;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.PublishApi;
import org.openapitools.client.model.BroadcastNotification;
import org.openapitools.client.model.Item;
import org.openapitools.client.model.NotificationRequest;
import org.openapitools.client.model.NotificationsRequest;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.UserNotification;
import org.openapitools.client.model.UsersNotification;

public class Publish {
    static void must(boolean condition, Object words) {
        if (!condition) throw new IllegalStateException(String.valueOf(words));
    }

    public static void main(String[] args) throws ApiException, java.io.IOException {
        var client = new ApiClient().setBasePath(System.getenv("HERALD_URL"));
        client.setBearerToken(System.getenv("HERALD_KEY"));
        var herald = new PublishApi(client);
        var broadcast = new NotificationRequest(
                new BroadcastNotification().destination("/queue/orders").payload(java.util.Map.of("order", 7)).ttlMs(60_000));
        var toUser = new NotificationRequest(
                new UserNotification().destination("/queue/orders").user("id:anna/b").payload("only for you"));
        var toUsers = new NotificationRequest(
                new UsersNotification().destination("/queue/orders").users(List.of("anna", "ben")).payload(List.of(1, 2)));

        // One; its repeat is known by the key.
        for (Boolean duplicate : new Boolean[] {null, true}) {
            var accepted = herald.postNotifications(new NotificationsRequest(broadcast), null, null, "order-9-paid").getAccepted();
            must(!accepted.getId().isEmpty() && Objects.equals(accepted.getDuplicate(), duplicate), accepted);
        }

        // Several.
        List<Item> items = herald.postNotifications(
                new NotificationsRequest(List.of(broadcast, toUser, toUsers)), null, null, null).getListItem();
        must(items.size() == 3 && items.get(2).getAcceptedItem().getPositions().size() == 2, items);

        // Raw bodies, as text.
        var went = herald.postBroadcast("/topic/news", null, null, null, null, "news-1", "hello");
        must(went.getDuplicate() == null, went);
        went = herald.postUser("id:anna/b", "queue/pictures", "picture-3", null, null, null, null, "hello");
        must(went.getId().equals("picture-3"), went);
        went = herald.postBroadcastByQuery("/topic/news", null, null, null, null, null, "hello");
        must(!went.getId().isEmpty(), went);

        // Nothing is published by a dry run.
        var explanation = herald.postNotifications(new NotificationsRequest(toUser), true, null, null).getExplanation();
        must(!explanation.getOnline() && explanation.getReachedCount() == 0, explanation);

        // A refusal is a problem with its type.
        try {
            herald.postNotifications(
                    new NotificationsRequest(new NotificationRequest(new BroadcastNotification().destination("/nowhere").payload(1))),
                    null, null, null);
            must(false, "it was not refused");
        } catch (ApiException refused) {
            var problem = Problem.fromJson(refused.getResponseBody());
            must(problem.getType().equals("urn:herald:problem:invalid-value") && problem.getPointer().equals("/destination"), problem);
        }
        System.out.println("java: published");
    }
}
