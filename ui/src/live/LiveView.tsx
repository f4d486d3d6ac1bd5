/** What a user sees: the live feed, the chat, who is online; and a form to publish. */

import type { Api } from '../api';
import type { Feed } from '../feed';
import { PublishForm } from '../publish/PublishForm';
import type { Settings } from '../settings';
import { Chat } from './Chat';
import { FeedCard } from './FeedCard';
import { Online } from './Online';

interface Props {
  hidden: boolean;
  /** Whether the user is an operator: there is another view, and a tab for each, and Herald says who listens. */
  mayOperate: boolean;
  api: Api;
  settings: Settings;
  user: string;
  feed: Feed;
  onError: (words: string) => void;
}

export function LiveView({ hidden, mayOperate, api, settings, user, feed, onError }: Props) {
  return (
    <div
      className="desk"
      id="desk"
      hidden={hidden}
      {...(mayOperate && { role: 'tabpanel', 'aria-labelledby': 'view-live' })}
    >
      <FeedCard settings={settings} user={user} feed={feed} onError={onError} />
      <div className="side">
        <Chat settings={settings} />
        <Online settings={settings} user={user} />
        <section className="card" aria-labelledby="publish-title">
          <h2 id="publish-title">Publish</h2>
          <p className="muted">
            <code>POST api/v1/notifications</code>
          </p>
          <PublishForm
            api={api}
            destination={`${settings.broadcastPrefix}/message`}
            withKey
            tellsUnheard={mayOperate}
            resultId="publish-result"
          />
        </section>
      </div>
    </div>
  );
}
